package pages

import "net/http"

func (p *Pages) rejects(http.ResponseWriter, *http.Request) error { return errNoPage }

func (p *Pages) reject(http.ResponseWriter, *http.Request) error { return errNoPage }

func (p *Pages) replayRejects(http.ResponseWriter, *http.Request) error { return errNoPage }

func (p *Pages) settleReject(http.ResponseWriter, *http.Request) error { return errNoPage }
