package pages

import "net/http"

func (p *Pages) report(http.ResponseWriter, *http.Request) error { return errNoPage }
