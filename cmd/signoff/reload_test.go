package main

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
)

const refusedReload, goodReload = "signoff_config_last_reload_successful 0", "signoff_config_last_reload_successful 1"

// A config file is taken over while the daemon runs, as kubelet exchanges it: by a link
// that leads elsewhere.
func TestReload(t *testing.T) {
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(4)})
	files := func(name string, change map[string]string) string {
		path := s.config(t, change)
		target := filepath.Join(s.dir, name)
		if err := os.Rename(path, target); err != nil {
			t.Fatal(err)
		}
		return target
	}
	link := filepath.Join(s.dir, "mounted.yaml")
	lead := func(to string) {
		t.Helper()
		if err := os.Symlink(to, link+".new"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+".new", link); err != nil {
			t.Fatal(err)
		}
	}
	mapping := s.write(t, "acme.cel", `[{"email": body.mail}]`)
	endpoints := "[{path: /events, auth: {bearer_file: " + filepath.Join(s.dir, "webhook-token") + "}}, {path: /acme, auth: none, mapping: acme}]"
	keys := func(change map[string]string) map[string]string {
		all := map[string]string{"webhook.endpoints": endpoints, "events.mappings": "[{name: acme, file: " + mapping + "}]"}
		for key, value := range change {
			all[key] = value
		}
		return all
	}
	lead(files("first.yaml", keys(nil)))
	r := s.start(t, link)
	shows(t, r.admin()+"/metrics", goodReload)
	_, before := get(t, r.admin()+"/metrics")

	// Who is protected from now on is held, and a level is in force.
	lead(files("second.yaml", keys(map[string]string{"guard.protected": "{emails: [" + email(0) + "]}", "log.level": "debug", "webhook.listen": "127.0.0.1:1"})))
	shows(t, r.admin()+"/readyz?verbose", "config: these keys wait for a restart: webhook.listen")
	shows(t, r.admin()+"/metrics", "signoff_config_restart_needed 1")
	if _, after := get(t, r.admin()+"/metrics"); line(after, "signoff_config_hash") == line(before, "signoff_config_hash") {
		t.Error("signoff_config_hash is the same")
	}
	s.postBatch(t, r, fmt.Appendf(nil, "[%s,%s]", termination(t, 0), termination(t, 1)))
	r.await(t, ledger.Closed, 1)
	r.await(t, ledger.Held, 1)
	if r.reloader.level.String() != "debug" {
		t.Errorf("the log's level is %s", r.reloader.level)
	}

	// A file that is wrong changes nothing, and is told of.
	bad := files("bad.yaml", keys(map[string]string{"guard.administrators": "never"}))
	lead(bad)
	shows(t, r.admin()+"/metrics", refusedReload)
	shows(t, r.admin()+"/readyz?verbose", `config: the file is refused: `+link+`: guard.administrators: "never": neither hold nor close`)
	r.await(t, ledger.Held, 1)

	// The one after it does; who was held by the old guard is judged anew.
	lead(files("third.yaml", keys(map[string]string{"guard.protected": "{emails: [" + email(2) + "]}"})))
	shows(t, r.admin()+"/metrics", goodReload)
	r.await(t, ledger.Closed, 2)

	// The file of a mapping is one of the config's.
	_, before = get(t, r.admin()+"/metrics")
	s.write(t, "acme.cel", `[{"email": body.address}]`)
	eventually(t, "the new mapping is in force", func() bool {
		return postAs(t, "http://"+r.webhook.Addr().String()+"/acme", "application/json", []byte(`{"address":"`+email(3)+`","n":"`+time.Now().String()+`"}`)) == http.StatusOK &&
			r.stats(t).Entries[ledger.Closed] == 3
	})
	if _, after := get(t, r.admin()+"/metrics"); line(after, "signoff_config_hash") == line(before, "signoff_config_hash") {
		t.Error("signoff_config_hash is the same by another mapping")
	}
	if !strings.Contains(r.logs.String(), `"changed":["events.mappings[0].file"]`) {
		t.Error("the audit was not told which mapping is in force")
	}
	s.write(t, "acme.cel", `[{"emial": body.address}]`)
	shows(t, r.admin()+"/readyz?verbose", `config: the file is refused: `+link+`: `+mapping+`:1:3: "emial": no event has this key`)
	noLeak(t, "the log", r.logs.String())
	_, metrics := get(t, r.admin()+"/metrics")
	noLeak(t, "/metrics", metrics)
}

// line is the first line of text that begins so.
func line(text, with string) string {
	for l := range strings.Lines(text) {
		if strings.HasPrefix(l, with+" ") {
			return l
		}
	}
	return ""
}

// What a config must have to start is asked before it is taken over.
func TestReloadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		change map[string]string
		want   string
	}{
		"an unknown key":                  {map[string]string{"guard.protekted": "{}"}, "protekted"},
		"a mapping that is gone":          {map[string]string{"events.mappings": ""}, `"acme"`},
		"a mapping that does not fit":     {map[string]string{"events.mappings": "[{name: acme, expression: '[{\"emial\": 1}]'}]"}, "emial"},
		"a secret that is gone":           {map[string]string{"webhook.endpoints": "[{path: /acme, auth: {bearer_file: /nowhere}, mapping: acme}]"}, "/nowhere"},
		"a key that is gone":              {map[string]string{"docusign.private_key_file": "/nowhere.pem"}, "/nowhere.pem"},
		"a signing key that is gone":      {map[string]string{"audit.signing_key_file": "/nowhere.key"}, "/nowhere.key"},
		"limits longer than what is kept": {map[string]string{"guard.limits": "[{window: 500d, max: 1}]"}, "erase_after"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, siteOptions{noBroker: true})
			keys := map[string]string{"webhook.endpoints": "[{path: /acme, auth: none, mapping: acme}]",
				"events.mappings": "[{name: acme, expression: '[{\"email\": body.mail}]'}]"}
			r := s.start(t, s.config(t, keys))
			for key, value := range c.change {
				keys[key] = value
			}
			file := s.config(t, keys)
			r.reloader.look(t.Context(), true)
			report := strings.Join(r.reloader.report(), "\n")
			if !strings.Contains(report, "config: the file is refused: "+file) || !strings.Contains(report, c.want) {
				t.Errorf("got %s\nwant %s", report, c.want)
			}
			if _, metrics := get(t, r.admin()+"/metrics"); !strings.Contains(metrics, refusedReload) {
				t.Error("the metric says that it was taken")
			}
		})
	}
}

// A ledger that cannot be written refuses a config whole, and takes it once it can: no
// part works meanwhile by what is not on record.
func TestReloadIsWholeOrNot(t *testing.T) {
	for name, refusal := range map[string]string{
		"it cannot be put on record":         `CREATE TRIGGER refuse BEFORE INSERT ON audit WHEN new.action = 'config' BEGIN SELECT RAISE(ABORT, 'no room'); END`,
		"what is held cannot be judged anew": `CREATE TRIGGER refuse BEFORE INSERT ON audit WHEN new.action = 'renewed' BEGIN SELECT RAISE(ABORT, 'no room'); END`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(3)})
			keys := map[string]string{"events.mappings": "[{name: acme, expression: '[{\"email\": body.mail}]'}]", "guard.protected": "{emails: [" + email(0) + "]}",
				"webhook.endpoints": "[{path: /events, auth: {bearer_file: " + filepath.Join(s.dir, "webhook-token") + "}}, {path: /acme, auth: none, mapping: acme}]"}
			r := s.start(t, s.config(t, keys))
			s.postBatch(t, r, fmt.Appendf(nil, "[%s]", termination(t, 0)))
			r.await(t, ledger.Held, 1)
			before := strings.Join(r.reloader.report(), "\n")
			db, err := sql.Open("sqlite", "file:"+filepath.Join(s.dir, "ledger.db")+"?_pragma=busy_timeout(5000)")
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			if _, err := db.Exec(refusal); err != nil {
				t.Fatal(err)
			}
			keys["guard.protected"] = "{emails: [" + email(1) + "]}"
			keys["events.mappings"] = "[{name: acme, expression: '[{\"email\": body.address}]'}]"
			s.config(t, keys)
			shows(t, r.admin()+"/metrics", refusedReload)
			if report := strings.Join(r.reloader.report(), "\n"); !strings.HasPrefix(report, before) {
				t.Errorf("in force is\n%s\nand was\n%s", report, before)
			}
			s.postBatch(t, r, fmt.Appendf(nil, "[%s]", termination(t, 1))) // whom the guard in force knows nothing of
			r.await(t, ledger.Closed, 1)
			postAs(t, "http://"+r.webhook.Addr().String()+"/acme", "application/json", []byte(`{"address":"`+email(2)+`"}`))
			if n := r.stats(t).Rejects; n != 1 {
				t.Errorf("%d rejects, want that of the mapping in force", n)
			}

			if _, err := db.Exec(`DROP TRIGGER refuse`); err != nil {
				t.Fatal(err)
			}
			shows(t, r.admin()+"/metrics", goodReload) // by itself
			r.await(t, ledger.Closed, 2)               // who is protected no more
			if n := strings.Count(r.logs.String(), "the config is refused"); n != 1 {
				t.Errorf("the log says %d times that it is refused", n)
			}
		})
	}
}

// Kubernetes does not bring a config and the secrets that it names at the same moment.
func TestReloadWaitsForASecret(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true})
	r := s.start(t, s.config(t, nil))
	later := filepath.Join(s.dir, "later")
	s.config(t, map[string]string{"webhook.endpoints": "[{path: /events, auth: {bearer_file: " + later + "}}]"})
	shows(t, r.admin()+"/metrics", refusedReload)
	s.write(t, "later", webhookToken)
	shows(t, r.admin()+"/readyz?verbose", "config: these keys wait for a restart: webhook.endpoints[0].auth.bearer_file")
}

// What is written while the file is taken over is taken over after it.
func TestReloadDuringAReload(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true})
	r := s.start(t, s.config(t, nil))
	slow := filepath.Join(s.dir, "slow") // is read once somebody has opened it to write
	if err := syscall.Mkfifo(slow, 0o600); err != nil {
		t.Fatal(err)
	}
	s.config(t, map[string]string{"guard.min_administrators": "3", "webhook.endpoints": "[{path: /events, auth: {bearer_file: " + slow + "}}]"})
	pipe, err := os.OpenFile(slow, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	s.config(t, map[string]string{"guard.min_administrators": "4"})
	if _, err := pipe.WriteString(webhookToken); err != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the last one is in force", func() bool { return r.now().Guard.MinAdministrators == 4 })
}

// A start takes its time: what is written meanwhile is taken over after it.
func TestReloadOfWhatCameDuringTheStart(t *testing.T) {
	t.Parallel()
	s := newSite(t, siteOptions{noBroker: true})
	file := s.config(t, nil)
	cfg, read, err := readConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	s.config(t, map[string]string{"guard.min_administrators": "4"})
	r := s.startAs(t, file, cfg, read, "")
	eventually(t, "it is in force", func() bool { return r.now().Guard.MinAdministrators == 4 })
}

// Somebody who is protected while a plan is sent is not closed by it.
func TestReloadStopsAPlanUnderWay(t *testing.T) {
	const people = 40
	s := newSite(t, siteOptions{noBroker: true, users: leaverUsers(people), docusign: docusigntest.Config{Latency: 150 * time.Millisecond}})
	keys := map[string]string{"batch.max_users": "1"}
	r := s.start(t, s.config(t, keys))
	var events []string
	for i := range people {
		events = append(events, string(termination(t, i)))
	}
	s.postBatch(t, r, []byte("["+strings.Join(events, ",")+"]"))
	eventually(t, "the plan is under way", func() bool { return r.stats(t).Entries[ledger.Closed] >= 2 })
	keys["log.level"] = "debug" // is nothing to a plan
	s.config(t, keys)
	r.reloader.look(t.Context(), true)
	closed := r.stats(t).Entries[ledger.Closed]
	eventually(t, "the plan goes on", func() bool { return r.stats(t).Entries[ledger.Closed] >= closed+2 })
	if n := strings.Count(r.logs.String(), `"msg":"plan resolved"`); n != 1 {
		t.Errorf("the log's level has the leavers looked up %d times", n)
	}
	keys["guard.protected"] = "{domains: [example.com]}"
	s.config(t, keys)
	r.reloader.look(t.Context(), true)
	inForce := r.stats(t).Entries[ledger.Closed]
	eventually(t, "all others are held", func() bool {
		e := r.stats(t).Entries
		return e[ledger.Held] > 0 && e[ledger.Held]+e[ledger.Closed] == people
	})
	if closed := r.stats(t).Entries[ledger.Closed]; closed > inForce+1 { // the batch that was on the wire
		t.Errorf("%d were closed when the guard changed, and %d after", inForce, closed)
	}
}

// Reloads while events come in and plans run lose nobody, and race with nothing.
func TestReloadsBesideWork(t *testing.T) {
	const people = 60
	s := newSite(t, siteOptions{users: leaverUsers(people)})
	levels := []string{"debug", "info"}
	r := s.start(t, s.config(t, nil))
	var work sync.WaitGroup
	work.Go(func() { s.sendByKafka(t, people/2, people) })
	work.Go(func() { sendByWebhook(t, "http://"+r.webhook.Addr().String()+"/events", people/2) })
	for i := range 20 {
		s.config(t, map[string]string{"log.level": levels[i%2], "batch.interval": []string{"200ms", "300ms"}[i%2],
			"guard.limits": fmt.Sprintf("[{window: %dh, max: 100000}]", i%3+1), "events.types": fmt.Sprintf("{terminated: [com.example.%d]}", i)})
		r.reloader.look(t.Context(), true)
	}
	work.Wait()
	r.await(t, ledger.Closed, people)
	_, metrics := get(t, r.admin()+"/metrics")
	if strings.Count(metrics, `window="2h0m0s"`)+strings.Count(metrics, `window="3h0m0s"`) > 1 {
		t.Error("the windows of limits that are gone are still shown")
	}
}

// The process itself reloads on SIGHUP, and is not ready for a while before it ends.
func TestSignalsOfAProcess(t *testing.T) {
	s := newSite(t, siteOptions{noBroker: true})
	admin := freePort(t)
	change := map[string]string{"admin.listen": fmt.Sprintf("127.0.0.1:%d", admin)}
	c := startChild(t, s.config(t, change), "--shutdown-delay", "2s")
	url := fmt.Sprintf("http://127.0.0.1:%d", admin)
	eventually(t, "it is ready", func() bool {
		resp, err := http.Get(url + "/readyz")
		if err != nil {
			return false
		}
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	change["guard.min_administrators"] = "3"
	s.config(t, change)
	if err := c.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "SIGHUP reloads", func() bool { return strings.Contains(c.logs.String(), `"changed":["guard.min_administrators"]`) })
	if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is ready no more", func() bool { status, body := get(t, url+"/readyz"); return status == 503 && body == "stopping\n" })
	if status, _ := get(t, url+"/livez"); status != http.StatusOK {
		t.Errorf("/livez is %d", status)
	}
	if err := c.cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
