package webhook

import (
	"bufio"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// scenario is a request and what must come of it.
type scenario struct {
	name    string
	request []string // lines
	status  int
	headers []string // of the answer: name and value, which may be missing
	events  []string // source, id, subject and, if there is one, time
}

// readScenarios reads the few words of Gherkin that the feature is written in.
func readScenarios(t *testing.T, file string) []scenario {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []scenario
	var into *[]string
	for _, line := range strings.Split(string(text), "\n") {
		words := strings.TrimSpace(line)
		name, isScenario := strings.CutPrefix(words, "Scenario: ")
		status, isAnswer := strings.CutPrefix(words, "Then the answer is ")
		switch {
		case isScenario:
			all = append(all, scenario{name: name})
			into = nil
		case len(all) == 0:
		case words == "Given the request":
			into = &all[len(all)-1].request
		case isAnswer:
			if all[len(all)-1].status, err = strconv.Atoi(status); err != nil {
				t.Fatal(err)
			}
			into = nil
		case words == "And its headers have":
			into = &all[len(all)-1].headers
		case words == "And the events are":
			into = &all[len(all)-1].events
		case into != nil && (words != "" || into == &all[len(all)-1].request):
			*into = append(*into, strings.TrimPrefix(line, "      "))
		case words != "":
			t.Fatalf("%s: %q", file, line)
		}
	}
	return all
}

func (s scenario) read(t *testing.T) *http.Request {
	t.Helper()
	head, body, _ := strings.Cut(strings.Join(s.request, "\n"), "\n\n")
	raw := strings.ReplaceAll(head, "\n", "\r\n") + "\r\nHost: signoff.example.com\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw)))
	if err != nil {
		t.Fatal(err)
	}
	r.Body = io.NopCloser(r.Body)
	return r
}

func TestHTTPBinding(t *testing.T) {
	all := readScenarios(t, "testdata/http-binding.feature")
	if len(all) < 19 {
		t.Errorf("only %d scenarios", len(all))
	}
	for _, s := range all {
		t.Run(s.name, func(t *testing.T) {
			f := newFixture(t)
			w := f.send(s.read(t))
			if w.Code != s.status {
				t.Fatalf("answered %d %s", w.Code, w.Body)
			}
			for _, header := range s.headers {
				name, want, _ := strings.Cut(header, ":")
				if got := w.Header().Get(name); got != strings.TrimSpace(want) {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
			events, rejects := f.rec.events()
			var got []string
			for _, e := range events {
				line := e.Key.Source + " " + e.Key.ID + " " + e.EmployeeID
				if !e.OccurredAt.IsZero() {
					line += " " + e.OccurredAt.Format(time.RFC3339)
				}
				got = append(got, line)
			}
			if strings.Join(got, "\n") != strings.Join(s.events, "\n") || len(rejects) > 0 {
				t.Errorf("recorded %q, want %q; rejects %+v", got, s.events, rejects)
			}
		})
	}
}
