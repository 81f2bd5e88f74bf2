package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// longest is how long a try may take: the demo settles in ten seconds.
const longest = 3 * time.Minute

// scrapes are the jobs of the Prometheus: the demo as it is, and as it would look
// were it a dry run, which differs by a label.
const scrapes = `global: {scrape_interval: 1s}
scrape_configs:
  - job_name: signoff
    static_configs: [{targets: ["%[1]s"]}]
  - job_name: dry
    static_configs: [{targets: ["%[1]s"], labels: {dry_run: "true"}}]
`

// try runs all that the dashboards ask, and says what came to nothing.
func try(ctx context.Context, dir, signoff, prometheus string) error {
	ctx, cancel := context.WithTimeout(ctx, longest)
	defer cancel()
	temp, err := os.MkdirTemp("", "dashboards-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(temp) }()
	asks, err := readAll(dir)
	if err != nil {
		return err
	}
	demo, err := startDemo(ctx, signoff)
	if err != nil {
		return err
	}
	defer demo.end()
	server, err := startPrometheus(ctx, prometheus, temp, demo.metrics)
	if err != nil {
		return err
	}
	defer server.end()
	if err := demo.awaitHolds(); err != nil {
		return err
	}
	if err := server.awaitScrapes(ctx); err != nil {
		return err
	}
	return server.answerAll(ctx, asks)
}

// ask is something that a dashboard asks.
type ask struct {
	where  string // dashboard and panel
	query  string
	label  string // of a variable, whose values query selects; "": query is PromQL
	ranged bool
}

var labelValues = regexp.MustCompile(`^label_values\((.*), *(\w+)\)$`)

func readAll(dir string) ([]ask, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(names) == 0 {
		return nil, fmt.Errorf("%s: no dashboards: %w", dir, err)
	}
	var all []ask
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		found, err := asksOf(b)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, a := range found {
			a.where = filepath.Base(name) + ": " + a.where
			all = append(all, a)
		}
	}
	return all, nil
}

func asksOf(text []byte) ([]ask, error) {
	var d struct {
		Panels      []panel `json:"panels"`
		Annotations struct {
			List []struct{ Name, Expr string }
		} `json:"annotations"`
		Templating struct {
			List []struct{ Name, Type, Definition string }
		} `json:"templating"`
	}
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	var all []ask
	for _, p := range d.Panels {
		for _, t := range p.Targets {
			all = append(all, ask{where: p.Title + " " + t.RefID, query: t.Expr, ranged: t.Range})
		}
	}
	for _, a := range d.Annotations.List {
		all = append(all, ask{where: "annotation " + a.Name, query: a.Expr, ranged: true})
	}
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		m := labelValues.FindStringSubmatch(v.Definition)
		if m == nil {
			return nil, fmt.Errorf("variable %s: %q: not label_values(metric, label)", v.Name, v.Definition)
		}
		all = append(all, ask{where: "variable " + v.Name, query: m[1], label: m[2]})
	}
	return all, nil
}

// program is one that was started here, and is ended here.
type program struct {
	cmd *exec.Cmd
}

func start(ctx context.Context, out io.Writer, name string, args ...string) (program, error) {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // named by whoever runs this
	cmd.Stdout, cmd.Stderr = out, out
	cmd.WaitDelay = 10 * time.Second
	return program{cmd}, cmd.Start()
}

// end lets the program tidy up; its status is of no interest.
func (p program) end() {
	_ = p.cmd.Process.Signal(os.Interrupt)
	_ = p.cmd.Wait()
}

type demo struct {
	program
	metrics string // host:port
	lines   *bufio.Scanner
}

func startDemo(ctx context.Context, signoff string) (*demo, error) {
	r, w := io.Pipe()
	p, err := start(ctx, w, signoff, "demo", "--stay", "--for", longest.String())
	if err != nil {
		return nil, err
	}
	d := &demo{program: p, lines: bufio.NewScanner(r)}
	m, err := d.await(regexp.MustCompile(`http://(\S+)/metrics`))
	if err != nil {
		p.end()
		return nil, err
	}
	d.metrics = m
	return d, nil
}

// await reads until a line matches, and gives what is in its parentheses.
func (d *demo) await(want *regexp.Regexp) (string, error) {
	var said []string
	for d.lines.Scan() {
		said = append(said, d.lines.Text())
		if m := want.FindStringSubmatch(d.lines.Text()); m != nil {
			return m[1], nil
		}
	}
	return "", fmt.Errorf("the demo has not said %q:\n%s", want, strings.Join(said, "\n"))
}

// awaitHolds waits for what the demo does last, and then lets it speak unheard.
func (d *demo) awaitHolds() error {
	_, err := d.await(regexp.MustCompile(`^(\d+) people are held`))
	go func() {
		for d.lines.Scan() {
		}
	}()
	return err
}

type server struct {
	program
	url   string
	began time.Time
}

func startPrometheus(ctx context.Context, name, dir, metrics string) (*server, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, fmt.Appendf(nil, scrapes, metrics), 0o600); err != nil {
		return nil, err
	}
	log, err := os.Create(filepath.Join(dir, "prometheus.log"))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p, err := start(ctx, log, name, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address)
	return &server{program: p, url: "http://" + address, began: time.Now()}, err
}

// awaitScrapes waits until what comes last has been scraped: deadlines, which are
// counted once a minute.
func (s *server) awaitScrapes(ctx context.Context) error {
	for {
		got, err := s.query(ctx, ask{query: `sum(increase(signoff_deadlines_total{job="dry"}[5m])) > 0`}, "")
		switch {
		case err == nil && len(got) > 0:
			return nil
		case ctx.Err() != nil:
			return fmt.Errorf("prometheus has not seen the demo count deadlines: %w", errors.Join(ctx.Err(), err))
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
}

func (s *server) answerAll(ctx context.Context, asks []ask) error {
	exported, err := s.names(ctx)
	if err != nil {
		return err
	}
	var wrong []error
	missing := make(map[string]bool)
	for _, a := range asks {
		unknown := unknownIn(a.query, exported)
		for _, name := range unknown {
			missing[name] = true
		}
		if len(unknown) > 0 {
			wrong = append(wrong, fmt.Errorf("%s: the daemon exports no %s", a.where, strings.Join(unknown, ", ")))
			continue
		}
		for _, job := range []string{"signoff", "dry", ".+"} {
			if err := s.answers(ctx, a, job); err != nil {
				wrong = append(wrong, fmt.Errorf("%s, job %s: %w\n    %s", a.where, job, err, a.query))
			}
		}
	}
	fmt.Fprintf(os.Stdout, "%d queries, each of three jobs; %d of them fail\n", len(asks), len(wrong))
	if len(missing) > 0 {
		fmt.Fprintf(os.Stdout, "the daemon does not export: %s\n", strings.Join(slices.Sorted(maps.Keys(missing)), " "))
	}
	return errors.Join(wrong...)
}

var metricName = regexp.MustCompile(`\b(?:signoff|go|process)_\w+`)

// unknownIn are the metrics that a query names and nobody exports.
func unknownIn(query string, exported map[string]bool) []string {
	var unknown []string
	for _, name := range metricName.FindAllString(query, -1) {
		if !exported[name] && !slices.Contains(unknown, name) {
			unknown = append(unknown, name)
		}
	}
	return unknown
}

// answers says what is wrong with the answer: an error, nothing, or no number in it.
func (s *server) answers(ctx context.Context, a ask, job string) error {
	if a.label != "" {
		values, err := s.values(ctx, a, job)
		if err == nil && len(values) == 0 {
			err = errors.New("no values")
		}
		return err
	}
	series, err := s.query(ctx, a, job)
	switch {
	case err != nil:
		return err
	case len(series) == 0:
		return errors.New("no data")
	}
	for _, one := range series {
		for _, v := range one.numbers() {
			if !math.IsNaN(v) {
				return nil
			}
		}
	}
	return errors.New("no number in it")
}

type series struct {
	Value  []any
	Values [][]any
}

func (s series) numbers() []float64 {
	var all []float64
	for _, v := range append(s.Values, s.Value) {
		if len(v) != 2 {
			continue
		}
		if n, err := strconv.ParseFloat(fmt.Sprint(v[1]), 64); err == nil {
			all = append(all, n)
		}
	}
	return all
}

// filled is a query with Grafana's variables in place.
func filled(query, job string) string {
	return strings.NewReplacer("$__rate_interval", "5s", "$__interval", "15s", "$__range", "5m", "$job", job, "$instance", ".+").Replace(query)
}

func (s *server) query(ctx context.Context, a ask, job string) ([]series, error) {
	var data struct{ Result []series }
	now := time.Now()
	form := url.Values{"query": {filled(a.query, job)}}
	path := "/api/v1/query"
	if a.ranged {
		path = "/api/v1/query_range"
		form.Set("start", seconds(s.began))
		form.Set("end", seconds(now))
		form.Set("step", "1")
	}
	err := s.get(ctx, path, form, &data)
	return data.Result, err
}

func seconds(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

func (s *server) values(ctx context.Context, a ask, job string) ([]string, error) {
	var values []string
	err := s.get(ctx, "/api/v1/label/"+a.label+"/values", url.Values{"match[]": {filled(a.query, job)}}, &values)
	return values, err
}

func (s *server) names(ctx context.Context) (map[string]bool, error) {
	var names []string
	err := s.get(ctx, "/api/v1/label/__name__/values", nil, &names)
	all := make(map[string]bool)
	for _, n := range names {
		all[n] = true
	}
	return all, err
}

// get asks the Prometheus that was started here, by a loopback address.
func (s *server) get(ctx context.Context, path string, form url.Values, data any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path+"?"+form.Encode(), nil) //nolint:gosec // loopback
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req) //nolint:gosec // loopback
	if err != nil {
		return err
	}
	defer res.Body.Close()
	answer := struct {
		Error string
		Data  any
	}{Data: data}
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		return fmt.Errorf("%s: %w", res.Status, err)
	}
	if answer.Error != "" {
		return errors.New(answer.Error)
	}
	return nil
}
