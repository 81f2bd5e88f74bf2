package pages

import (
	"net/http"

	"signoff/closer/console"
)

// signInPage is how one can sign in.
type signInPage struct {
	Ways console.Ways
	Form bool   // a token or a password may be sent: nobody can read it on the way. OIDC sends neither, and leads to its own address of ours
	Next string // the page that was asked for
	Why  string // it did not work, in words; "": it was not tried
	Here string // who is signed in already; "": nobody
}

const needsHTTPS = "needs_https"

// whyNot says in words why somebody was not signed in, by the word that the server has
// put into the link.
var whyNot = map[string]string{
	"wrong":         "That did not match. Check it for a missing character, and whether it was replaced meanwhile.",
	"too_many":      "Too many attempts. Wait a minute, then try again.",
	"not_done":      "You were signed out meanwhile: nothing was done. Sign in again, and say it anew.",
	"expired":       "Your session has ended. Sign in again to go on where you were.",
	"oidc_refused":  "The identity provider did not sign you in. Try again; the daemon's log says more.",
	"oidc_away":     "The identity provider does not answer. Try again in a minute; a token works meanwhile, where there are tokens.",
	"oidc_no_role":  "You are known, but none of your groups may look at this signoff. Ask whoever runs it (admin.oidc: viewers, operators).",
	"oidc_no_email": "The identity provider does not say which confirmed email is yours: signoff tells people apart by it. Ask whoever runs it (admin.oidc: name_claim).",
	needsHTTPS:      "Signing in needs https, or an address of this machine such as localhost.",
}

func (p *Pages) signIn(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	v := console.VisitorOf(r.Context())
	why := q.Get("why")
	if v.Clear { // before anything is sent, whatever else there is to say
		why = needsHTTPS
	}
	// Who is signed in already is not led on: behind the # of the link, which is not sent,
	// there may be somebody else's token, and a browser would take it along.
	body := signInPage{Ways: v.Ways, Form: !v.Clear, Next: q.Get("next"), Why: whyNot[why], Here: v.Name}
	p.show(w, r, http.StatusOK, view{Template: "sign-in", Title: "Sign in", Body: body})
	return nil
}
