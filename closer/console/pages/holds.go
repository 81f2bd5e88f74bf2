package pages

import "net/http"

func (p *Pages) holds(http.ResponseWriter, *http.Request) error { return errNoPage }

func (p *Pages) hold(http.ResponseWriter, *http.Request) error { return errNoPage }

func (p *Pages) decide(http.ResponseWriter, *http.Request) error { return errNoPage }

func (p *Pages) freeze(http.ResponseWriter, *http.Request) error { return errNoPage }

func (p *Pages) endFreeze(http.ResponseWriter, *http.Request) error { return errNoPage }
