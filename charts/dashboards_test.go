package charts

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dashboard is what is looked at of a Grafana dashboard.
type dashboard struct {
	ID            *int
	UID           string
	Title         string
	Tags          []string
	SchemaVersion int
	Links         []struct {
		Tags        []string
		IncludeVars bool
		KeepTime    bool
	}
	Annotations struct{ List []dashboardQuery }
	Templating  struct{ List []dashboardVariable }
	Panels      []dashboardPanel
}

type dashboardSource struct{ Type, UID string }

type dashboardVariable struct {
	Name, Type string
	Datasource dashboardSource
	Definition string
}

type dashboardQuery struct {
	RefID        string
	Datasource   dashboardSource
	Expr         string
	LegendFormat string
	Format       string
}

type dashboardPanel struct {
	ID                       int
	Type, Title, Description string
	Datasource               dashboardSource
	GridPos                  struct{ X, Y, W, H int }
	Targets                  []dashboardQuery
	FieldConfig              struct {
		Defaults struct {
			Unit       string
			Thresholds struct{ Steps []struct{ Color string } }
			Mappings   []any
		}
	}
}

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	files, err := filepath.Glob("signoff/dashboards/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	all := make(map[string]dashboard)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all[filepath.Base(file)] = d
	}
	return all
}

// panels are all but the rows, which only have a title.
func (d dashboard) panels() []dashboardPanel {
	return slices.DeleteFunc(slices.Clone(d.Panels), func(p dashboardPanel) bool { return p.Type == "row" })
}

// queries are all that it asks, by where.
func (d dashboard) queries() map[string]string {
	all := make(map[string]string)
	for _, p := range d.panels() {
		for _, q := range p.Targets {
			all[p.Title+" "+q.RefID] = q.Expr
		}
	}
	for i, a := range d.Annotations.List {
		all[fmt.Sprintf("annotation %d", i)] = a.Expr
	}
	return all
}

func TestDashboardsAreFourThatLinkToEachOther(t *testing.T) {
	uids := make(map[string]bool)
	all := dashboards(t)
	for _, name := range []string{"overview.json", "pipeline.json", "safety.json", "kafka-ledger.json"} {
		d, ok := all[name]
		switch {
		case !ok:
			t.Errorf("no %s", name)
		case d.ID != nil || d.SchemaVersion == 0 || d.Title == "":
			t.Errorf("%s: id %v, schemaVersion %d, title %q", name, d.ID, d.SchemaVersion, d.Title)
		case d.UID == "" || len(d.UID) > 40 || uids[d.UID]:
			t.Errorf("%s: uid %q: none, longer than 40, or another's", name, d.UID)
		case len(d.Links) != 1 || !slices.Equal(d.Links[0].Tags, d.Tags) || !d.Links[0].IncludeVars || !d.Links[0].KeepTime:
			t.Errorf("%s: tags %q, links %+v", name, d.Tags, d.Links)
		}
		uids[d.UID] = true
	}
	if len(all) != 4 {
		t.Errorf("%d dashboards", len(all))
	}
}

// portable is the data source that whoever looks at a dashboard has chosen.
var portable = dashboardSource{Type: "prometheus", UID: "${datasource}"}

func TestDashboardsAskTheDataSourceThatIsChosen(t *testing.T) {
	for name, d := range dashboards(t) {
		for _, p := range d.panels() {
			if p.Datasource != portable {
				t.Errorf("%s: %s: data source %+v", name, p.Title, p.Datasource)
			}
			for _, q := range p.Targets {
				if q.Datasource != portable {
					t.Errorf("%s: %s: %s: data source %+v", name, p.Title, q.RefID, q.Datasource)
				}
			}
		}
		for _, a := range d.Annotations.List {
			if a.Datasource != portable {
				t.Errorf("%s: %s: data source %+v", name, a.Expr, a.Datasource)
			}
		}
	}
}

func TestDashboardsHaveTheirVariables(t *testing.T) {
	want := []dashboardVariable{
		{Name: "datasource", Type: "datasource"},
		{Name: "job", Type: "query", Datasource: portable, Definition: "label_values(signoff_build_info, job)"},
		{Name: "instance", Type: "query", Datasource: portable, Definition: `label_values(signoff_build_info{job=~"$job"}, instance)`},
	}
	for name, d := range dashboards(t) {
		if !slices.Equal(d.Templating.List, want) {
			t.Errorf("%s: variables %+v", name, d.Templating.List)
		}
	}
}

func TestPanelsSayWhatTheyShow(t *testing.T) {
	for name, d := range dashboards(t) {
		titles := make(map[string]bool)
		for _, p := range d.panels() {
			switch {
			case p.Title == "" || titles[p.Title]:
				t.Errorf("%s: panel %d: title %q: none, or another's", name, p.ID, p.Title)
			case len(p.Description) < 10 || !strings.HasSuffix(p.Description, "."):
				t.Errorf("%s: %s: description %q", name, p.Title, p.Description)
			case p.FieldConfig.Defaults.Unit == "":
				t.Errorf("%s: %s: no unit", name, p.Title)
			case len(p.FieldConfig.Defaults.Thresholds.Steps) == 0:
				t.Errorf("%s: %s: no thresholds", name, p.Title)
			case len(p.Targets) == 0:
				t.Errorf("%s: %s: asks nothing", name, p.Title)
			}
			titles[p.Title] = true
			for _, q := range p.Targets {
				if q.LegendFormat == "" && (len(p.Targets) > 1 || p.Type == "timeseries") {
					t.Errorf("%s: %s: %s: no legend", name, p.Title, q.RefID)
				}
			}
		}
	}
}

func TestPanelsDoNotOverlap(t *testing.T) {
	for name, d := range dashboards(t) {
		taken := make(map[[2]int]string)
		ids := make(map[int]bool)
		for _, p := range d.Panels {
			if p.ID == 0 || ids[p.ID] {
				t.Errorf("%s: %s: id %d: none, or another's", name, p.Title, p.ID)
			}
			ids[p.ID] = true
			g := p.GridPos
			if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
				t.Errorf("%s: %s: at %+v", name, p.Title, g)
			}
			for x := g.X; x < g.X+g.W; x++ {
				for y := g.Y; y < g.Y+g.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" {
						t.Fatalf("%s: %s lies on %s", name, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
		}
	}
}

var (
	selector = regexp.MustCompile(`\b((?:signoff|go|process)_\w+)(\{[^}]*\})?`)
	rate     = regexp.MustCompile(`\b(?:rate|irate|increase|delta|changes)\([^\[]*\[([^\]]+)\]`)
)

func TestQueriesGoByTheVariables(t *testing.T) {
	for name, d := range dashboards(t) {
		for where, expr := range d.queries() {
			for _, m := range selector.FindAllStringSubmatch(expr, -1) {
				if !strings.HasPrefix(m[2], `{job=~"$job",instance=~"$instance"`) {
					t.Errorf("%s: %s: %s has not the matchers of job and instance", name, where, m[0])
				}
			}
			for _, m := range rate.FindAllStringSubmatch(expr, -1) {
				// [$__interval] is for bars, each of which counts what is its own.
				if !slices.Contains([]string{"$__rate_interval", "$__range", "$__interval", "1d"}, m[1]) {
					t.Errorf("%s: %s: over [%s], which fits no interval of scrapes", name, where, m[1])
				}
			}
			if strings.Contains(expr, "vector(") || strings.Contains(expr, "dry_run") {
				t.Errorf("%s: %s: %s: makes up data, or is blind in a dry run", name, where, expr)
			}
		}
	}
}

// TestQueriesKnowNoOtherMetric compares with the list that the metrics themselves
// are compared with.
func TestQueriesKnowNoOtherMetric(t *testing.T) {
	known := goldenMetrics(t)
	for name, d := range dashboards(t) {
		for where, expr := range d.queries() {
			for _, m := range selector.FindAllStringSubmatch(expr, -1) {
				metric := m[1]
				if known[metric] == "" && known[histogramOf(metric)] != "histogram" && !strings.HasPrefix(metric, "go_") && !strings.HasPrefix(metric, "process_") {
					t.Errorf("%s: %s: there is no %s", name, where, metric)
				}
			}
		}
	}
}

func TestEveryMetricIsOnADashboard(t *testing.T) {
	// Those that no dashboard needs, and why.
	needless := map[string]string{}
	shown := make(map[string]bool)
	for _, d := range dashboards(t) {
		for _, v := range d.Templating.List {
			for _, m := range selector.FindAllString(v.Definition, -1) {
				shown[m] = true
			}
		}
		for _, expr := range d.queries() {
			for _, m := range selector.FindAllStringSubmatch(expr, -1) {
				shown[m[1]], shown[histogramOf(m[1])] = true, true
			}
		}
	}
	for metric := range goldenMetrics(t) {
		switch why, left := needless[metric]; {
		case !shown[metric] && !left:
			t.Errorf("%s is on no dashboard: show it, or say here why not", metric)
		case shown[metric] && left:
			t.Errorf("%s is on a dashboard, and is said not to be: %s", metric, why)
		}
	}
}

// goldenMetrics are all metrics with their types.
func goldenMetrics(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("../metrics/testdata/metrics.golden")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); strings.HasPrefix(line, "signoff_") && len(fields) >= 2 {
			all[fields[0]] = fields[1]
		}
	}
	return all
}

// histogramOf is the histogram that a series may be of.
func histogramOf(series string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(series, suffix); ok {
			return base
		}
	}
	return series
}

// A release keeps the files of its chart in a Secret, which may have 1 MiB.
func TestPicturesAreNotInThePackage(t *testing.T) {
	ignored, err := os.ReadFile("signoff/.helmignore")
	if err != nil || !slices.Contains(strings.Split(string(ignored), "\n"), "*.png") {
		t.Errorf("signoff/.helmignore does not leave out *.png: %v", err)
	}
}

func TestDashboardsAreConfigMaps(t *testing.T) {
	all := matrix(t)["dashboards"]
	for file, d := range dashboards(t) {
		name := "rel-signoff-dashboard-" + strings.TrimSuffix(file, ".json")
		found := all.named(t, "ConfigMap", name)
		equal(t, name+": namespace", found.text("metadata", "namespace"), "monitoring")
		equal(t, name+": label", found.labels()["dashboard"], "yes")
		equal(t, name+": annotations", found.part("metadata", "annotations"), object{"example.com/owner": "sre", "grafana_folder": "Identity"})
		text := found.text("data", file)
		var got dashboard
		if err := json.Unmarshal([]byte(text), &got); err != nil || got.UID != d.UID || len(got.Panels) != len(d.Panels) {
			t.Errorf("%s: not %s: %v", name, file, err)
		}
		if len(text) > 1<<20 {
			t.Errorf("%s: %d bytes, of 1 MiB that a ConfigMap may have", name, len(text))
		}
	}
}

func TestDashboardsAreLeftOutByDefault(t *testing.T) {
	for _, o := range render(t, values{}) {
		if strings.Contains(o.name(), "dashboard") {
			t.Errorf("%s %s", o.kind(), o.name())
		}
	}
}
