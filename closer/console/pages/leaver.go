package pages

import "net/http"

func (p *Pages) leaver(http.ResponseWriter, *http.Request) error { return errNoPage }

func (p *Pages) sayOfLeaver(http.ResponseWriter, *http.Request) error { return errNoPage }
