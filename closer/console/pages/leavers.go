package pages

import "net/http"

func (p *Pages) leavers(http.ResponseWriter, *http.Request) error { return errNoPage }

func (p *Pages) searchLeavers(http.ResponseWriter, *http.Request) error { return errNoPage }
