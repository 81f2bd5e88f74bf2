package webhook

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"signoff/consumer"
	"signoff/consumer/consumertest"
	"signoff/consumer/mapping"
)

// bodies are requests of about n bytes that cost a reader most.
func bodies(n int) map[string]func(path string) *http.Request {
	as := func(contentType, body string) func(string) *http.Request {
		return func(path string) *http.Request { return post(path, contentType, body) }
	}
	fill := func(one string) string {
		return strings.TrimSuffix(strings.Repeat(one+",", max(1, n/(len(one)+1))), ",")
	}
	all := map[string]func(string) *http.Request{
		"a batch of nothing":       as(ceBatch, "["+fill("{}")+"]"),
		"a batch of numbers":       as(ceBatch, "["+fill("0")+"]"),
		"a batch of leavers":       as(ceBatch, "["+fill(leaver("1", jane))+"]"),
		"a batch of wrong leavers": as(ceBatch, "["+fill(leaver("1", "{}"))+"]"),
		"a batch of others":        as(ceBatch, "["+fill(strings.Replace(leaver("1", "0"), consumer.TypeTerminated, "x", 1))+"]"),
		"a batch within batches":   as(ceBatch, strings.Repeat("[", n)),
	}
	if n > maxBody {
		return all
	}
	for name, value := range map[string]string{
		"objects": "[" + fill(`{"":0}`) + "]", "numbers": "[" + fill("0") + "]", "no JSON": strings.Repeat("{", n), "escapes": `"` + strings.Repeat(`\"`, n/2) + `"`,
		"huge numbers": "[" + fill("1e999999") + "]", "spaces": strings.Repeat(" ", n), "zeros": strings.Repeat("\x00", n),
	} {
		all["structured, "+name] = as(ceJSON, leaver("1", value))
		all["plain, "+name] = as("application/json", value)
		all["for the preset, "+name] = as("application/json", `{"employees":`+value+`,"data":{"events":`+value+`},"leavers":`+value+`}`)
		all["binary, "+name] = func(path string) *http.Request {
			r := post(path, "application/json", value)
			for i := 0; r.Header["Ce-Type"] == nil || len(r.Header) < 2000; i++ {
				r.Header.Set("Ce-Type", consumer.TypeTerminated)
				r.Header.Set("Ce-Specversion", "1.0")
				r.Header.Set("Ce-Id", "1")
				r.Header.Set("Ce-Source", "/hris")
				r.Header.Set(fmt.Sprintf("Ce-X%d", i), "%25%25%25")
			}
			return r
		}
	}
	return all
}

func newPresets(t *testing.T) (f fixture, paths []string) {
	t.Helper()
	f = newFixture(t)
	paths = []string{"/open", "/signed"}
	f.add(t, Endpoint{Path: "/signed", Auth: Auth{HMAC: HMAC{Preset: "gusto"}, SecretFile: f.tokens}})
	none, err := mapping.Compile(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, preset := range mapping.Presets() {
		m, err := none.Find(preset)
		if err != nil {
			t.Fatal(err)
		}
		path := "/" + preset
		f.add(t, Endpoint{Path: path, Auth: Auth{None: true}}).mapped = true
		f.reads.Load().mappers[path] = m
		paths = append(paths, path)
	}
	return f, paths
}

// pathsFor are those by which a shape goes a way of its own: what is for the presets
// goes to each of them, and the rest to the first as well.
func pathsFor(shape string, paths []string) []string {
	if strings.HasPrefix(shape, "for the preset") {
		return paths
	}
	return paths[:3]
}

// TestMemoryOfOneRequest sends the largest of each shape to each kind of endpoint.
func TestMemoryOfOneRequest(t *testing.T) {
	consumertest.SkipUnderRace(t)
	f, paths := newPresets(t)
	for _, n := range []int{maxBody / 2, maxBatch - 2} {
		for shape, request := range bodies(n) {
			for _, path := range pathsFor(shape, paths) {
				r := request(path)
				r.Header.Set("X-Gusto-Signature", strings.Repeat("ab", 32))
				if peak := consumertest.Peak(func() { f.send(r) }); peak > consumertest.Most {
					t.Errorf("%s to %s: %d MiB", shape, path, peak>>20)
				}
				f.rec.intakes = nil
			}
		}
	}
}

// TestWorkGrowsWithTheRequest compares by what is allocated.
func TestWorkGrowsWithTheRequest(t *testing.T) {
	consumertest.SkipUnderRace(t)
	f, paths := newPresets(t)
	const n, times = maxBody / 16, 4
	large := bodies(n * times)
	for shape, request := range bodies(n) {
		for _, path := range pathsFor(shape, paths) {
			one, more := request(path), large[shape](path)
			little := consumertest.Allocated(func() { f.send(one) })
			f.rec.intakes = nil
			much := consumertest.Allocated(func() { f.send(more) })
			f.rec.intakes = nil
			if much > 2*times*little+1<<20 {
				t.Errorf("%s to %s: %d KiB for one, %d KiB for %d times as much", shape, path, little>>10, much>>10, times)
			}
		}
	}
}
