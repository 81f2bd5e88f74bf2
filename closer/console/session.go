package console

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	idleAtMost   = time.Hour // a session ends so long after something was last asked for by hand
	mostSessions = 1000      // with more, that goes in which nothing was asked for the longest
)

// way is by what somebody has signed in.
type way string

const (
	byToken    way = "token"
	byPassword way = "password"
	byOIDC     way = "oidc"
)

// session is somebody who has signed in. They are asked anew at every request whether
// they still may: see stillIn.
type session struct {
	who  principal
	way  way
	hash string // of the password, as the web config had it

	began, seen time.Time
}

func (s session) until(most time.Duration) time.Time {
	until := s.began.Add(most)
	if idle := s.seen.Add(idleAtMost); idle.Before(until) {
		return idle
	}
	return until
}

// sessions are all that there are. They are in memory alone: a restart ends them. What
// a browser has is kept as a digest, so that a dump of the memory lets nobody in.
type sessions struct {
	most time.Duration // that one lasts

	mu  sync.Mutex
	all map[[sha256.Size]byte]*session
}

func newSessions(most time.Duration) *sessions {
	return &sessions{most: most, all: make(map[[sha256.Size]byte]*session)}
}

// begin makes a session, and returns what its owner's browser shows from then on.
func (s *sessions) begin(in session, now time.Time) (secret string) {
	secret = newSecret()
	in.began, in.seen = now, now
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= mostSessions {
		s.makeRoom(now)
	}
	s.all[sha256.Sum256([]byte(secret))] = &in
	return secret
}

func (s *sessions) makeRoom(now time.Time) {
	maps.DeleteFunc(s.all, func(_ [sha256.Size]byte, in *session) bool { return !now.Before(in.until(s.most)) })
	if len(s.all) < mostSessions {
		return
	}
	delete(s.all, slices.MinFunc(slices.Collect(maps.Keys(s.all)), func(a, b [sha256.Size]byte) int {
		return s.all[a].seen.Compare(s.all[b].seen)
	}))
}

// find is the session of a secret. By hand: somebody does something in it, and does not
// only leave a page open.
func (s *sessions) find(secret string, byHand bool, now time.Time) (session, bool) {
	key := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	defer s.mu.Unlock()
	in, ok := s.all[key]
	if !ok {
		return session{}, false
	}
	if !now.Before(in.until(s.most)) {
		delete(s.all, key)
		return session{}, false
	}
	if byHand {
		in.seen = now
	}
	return *in, true
}

// end ends the session of a secret, and returns it if there was one.
func (s *sessions) end(secret string) (session, bool) {
	key := sha256.Sum256([]byte(secret))
	s.mu.Lock()
	defer s.mu.Unlock()
	in, ok := s.all[key]
	if !ok {
		return session{}, false
	}
	delete(s.all, key)
	return *in, true
}

// newSecret has 256 random bits.
func newSecret() string {
	var bits [32]byte
	_, _ = rand.Read(bits[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(bits[:])
}

// Cookies are called differently over https: the prefix has browsers take them from
// nobody but this host, by https. Without https they are for this machine alone, since
// anybody on the way could read them.
const (
	sessionCookie = "signoff"
	pendingCookie = "signoff-oidc"
	hostPrefix    = "__Host-"
)

// keepsCookies says whether a browser that asks so may be given a cookie that lets it in,
// and sends nothing through a network that could be read there.
func keepsCookies(r *http.Request) bool { return overHTTPS(r) || fromHere(r) }

// fromHere says whether a browser on this machine asks, as far as can be told. The name
// alone does not tell: a proxy may put its own name for us in place of what the browser
// asked for. One that leaves no trace, on this machine, is taken for a browser; kubectl
// port-forward is one, and what it forwards is encrypted.
func fromHere(r *http.Request) bool {
	for _, trace := range []string{"Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-Ip", "Via"} {
		if len(r.Header.Values(trace)) > 0 {
			return false
		}
	}
	return toLoopback(r.Host) // whatever address it comes from: that of a container's bridge, for one
}

// overHTTPS says whether the browser speaks https, maybe to a proxy in front of us. Who
// says so and doesn't harms themselves: their browser won't send the cookie back.
func overHTTPS(r *http.Request) bool {
	proto, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	return r.TLS != nil || strings.EqualFold(strings.TrimSpace(proto), "https")
}

// toLoopback says whether a host, with or without its port, is this machine by its name.
func toLoopback(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}

// cookie is the value of a cookie of ours; "": there is none.
func cookie(r *http.Request, name string) string {
	if !keepsCookies(r) {
		return ""
	}
	if overHTTPS(r) {
		name = hostPrefix + name
	}
	c, err := r.Cookie(name)
	if err != nil {
		return ""
	}
	return c.Value
}

// setCookie has the browser keep a cookie for as long as it runs, or for so long at
// most. With an empty value it forgets it.
func setCookie(w http.ResponseWriter, r *http.Request, name, value string, most time.Duration) {
	c := &http.Cookie{Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: int(most.Seconds())}
	if overHTTPS(r) {
		c.Name, c.Secure = hostPrefix+name, true
	}
	if value == "" {
		c.MaxAge = -1
	}
	http.SetCookie(w, c)
}

// signedIn is who asks by a session. Without one that is good they are nobody, which is
// no error.
func (s *Server) signedIn(r *http.Request, in *webFile) (who principal, ok bool, _ error) {
	secret := cookie(r, sessionCookie)
	if secret == "" {
		return principal{}, false, nil
	}
	byHand := r.Header.Get(liveHeader) == "" && r.URL.Path != livePath
	found, ok := s.sessions.find(secret, byHand, time.Now())
	if !ok {
		return principal{}, false, nil
	}
	who, ok, err := s.stillIn(found, in)
	if err != nil {
		return principal{}, false, err
	}
	if !ok {
		s.sessions.end(secret)
		return principal{}, false, nil
	}
	who.until = found.until(s.sessions.most)
	return who, true, nil
}

const livePath = "/api/v1/live" // a page asks for it by itself, and for as long as it is open

// stillIn says whether what somebody has signed in by would still let them in, as whom
// they were.
func (s *Server) stillIn(found session, in *webFile) (principal, bool, error) {
	switch found.way {
	case byPassword:
		hash, ok := in.config.Users[found.who.name]
		return found.who, ok && string(hash) == found.hash, nil
	case byToken:
		tokens, err := s.tokens()
		if err != nil {
			return principal{}, false, err
		}
		at := slices.IndexFunc(tokens, func(p principal) bool { return slices.Equal(p.hash, found.who.hash) })
		if at < 0 || tokens[at].role != found.who.role {
			return principal{}, false, nil
		}
		return tokens[at], true, nil // who was given another name or email goes by that
	}
	return found.who, found.way == byOIDC && s.oidc != nil, nil
}

// said is how the log names who asks: a name may be an address, which is not for it.
func (p principal) said() string {
	return cmp.Or(withoutAddress(p.name), "nobody")
}
