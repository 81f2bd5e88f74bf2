package webhook

import (
	"encoding/json"
	"net/http"
	"regexp"
	"slices"
)

const (
	allowed     = "POST, OPTIONS"
	allowedOkta = "GET, POST, OPTIONS"
)

func (ep *endpoint) allowed() string {
	if ep.okta != nil {
		return allowedOkta
	}
	return allowed
}

// shakeHands answers the question of the CloudEvents webhook specification
// whether events may be sent here at all: to the origins that the config names
// yes, and to all others by an answer without WebHook-Allowed-Origin, which is no.
//
// The callback that a request may name is not called: anybody can ask.
func (ep *endpoint) shakeHands(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Allow", ep.allowed())
	if asking := r.Header["Webhook-Request-Origin"]; len(asking) == 1 && slices.Contains(ep.origins, asking[0]) {
		w.Header().Set("WebHook-Allowed-Origin", asking[0])
		if r.Header["Webhook-Request-Rate"] != nil {
			w.Header().Set("WebHook-Allowed-Rate", "*")
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// mayCome says whether the origin that a request names, if it names one, is
// among those of the config, if that names any.
func (ep *endpoint) mayCome(r *http.Request) bool {
	named := r.Header["Webhook-Request-Origin"]
	return len(ep.origins) == 0 || len(named) == 0 || len(named) == 1 && slices.Contains(ep.origins, named[0])
}

// oktaChallenge is the header of the one GET by which Okta asks whether the
// endpoint is there; challenge is what may be given back to whoever says it.
const oktaChallenge = "X-Okta-Verification-Challenge"

var challenge = regexp.MustCompile(`^[A-Za-z0-9._~+/=-]{1,512}$`)

// verify says Okta's challenge back to it, which comes before any secret does.
func (ep *endpoint) verify(w http.ResponseWriter, r *http.Request) *refusal {
	said := r.Header[oktaChallenge]
	if ep.okta == nil || said == nil || r.Method != http.MethodGet {
		return &refusal{status: http.StatusMethodNotAllowed, detail: "events are posted", allow: ep.allowed()}
	}
	if len(said) != 1 || !challenge.MatchString(said[0]) {
		return &refusal{status: http.StatusBadRequest, detail: "the challenge is not one that Okta would send"}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"verification": said[0]}) // Okta asks again if it has gone
	return nil
}
