package main

import (
	"maps"
	"strings"
)

// A dashboard as Grafana has it, with no more fields than are used. Where one is
// not said, Grafana's own default is meant.
type dashboard struct {
	ID            *int     `json:"id"` // null: Grafana gives one
	UID           string   `json:"uid"`
	Title         string   `json:"title"`
	Description   string   `json:"description"`
	Tags          []string `json:"tags"`
	SchemaVersion int      `json:"schemaVersion"`
	Editable      bool     `json:"editable"`
	GraphTooltip  int      `json:"graphTooltip"` // 1: one cross-hair for all panels
	Refresh       string   `json:"refresh"`
	Timezone      string   `json:"timezone"`
	Time          span     `json:"time"`
	Links         []link   `json:"links"`
	Annotations   list     `json:"annotations"`
	Templating    list     `json:"templating"`
	Panels        []panel  `json:"panels"`
}

type span struct {
	From string `json:"from"`
	To   string `json:"to"`
}

type link struct {
	Title       string   `json:"title"`
	Type        string   `json:"type"`
	Tags        []string `json:"tags"`
	AsDropdown  bool     `json:"asDropdown"`
	IncludeVars bool     `json:"includeVars"`
	KeepTime    bool     `json:"keepTime"`
}

type list struct {
	List []any `json:"list"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

var prometheus = source{Type: "prometheus", UID: "${datasource}"}

type panel struct {
	ID              int            `json:"id"`
	Type            string         `json:"type"`
	Title           string         `json:"title"`
	Description     string         `json:"description,omitempty"`
	Datasource      *source        `json:"datasource,omitempty"`
	GridPos         gridPos        `json:"gridPos"`
	Interval        string         `json:"interval,omitempty"`
	MaxDataPoints   int            `json:"maxDataPoints,omitempty"`
	Targets         []target       `json:"targets,omitempty"`
	FieldConfig     *fieldConfig   `json:"fieldConfig,omitempty"`
	Options         map[string]any `json:"options,omitempty"`
	Transformations []transform    `json:"transformations,omitempty"`
	Collapsed       *bool          `json:"collapsed,omitempty"`
	Panels          *[]panel       `json:"panels,omitempty"`
}

type gridPos struct {
	X int `json:"x"`
	Y int `json:"y"`
	W int `json:"w"`
	H int `json:"h"`
}

type target struct {
	RefID        string `json:"refId"`
	Datasource   source `json:"datasource"`
	Expr         string `json:"expr"`
	LegendFormat string `json:"legendFormat"`
	Format       string `json:"format"`
	Instant      bool   `json:"instant"`
	Range        bool   `json:"range"`
}

type fieldConfig struct {
	Defaults  field      `json:"defaults"`
	Overrides []override `json:"overrides"`
}

type field struct {
	Unit       string         `json:"unit,omitempty"`
	Decimals   *int           `json:"decimals,omitempty"`
	Min        *float64       `json:"min,omitempty"`
	Max        *float64       `json:"max,omitempty"`
	NoValue    string         `json:"noValue,omitempty"`
	Color      map[string]any `json:"color,omitempty"`
	Mappings   []mapping      `json:"mappings,omitempty"`
	Thresholds *thresholds    `json:"thresholds,omitempty"`
	Custom     map[string]any `json:"custom,omitempty"`
}

type thresholds struct {
	Mode  string `json:"mode"`
	Steps []step `json:"steps"`
}

type step struct {
	Color string   `json:"color"`
	Value *float64 `json:"value"` // null: from the least on
}

type mapping struct {
	Type    string `json:"type"`
	Options any    `json:"options"`
}

type override struct {
	Matcher    property   `json:"matcher"`
	Properties []property `json:"properties"`
}

type property struct {
	ID      string `json:"id,omitempty"`
	Options any    `json:"options,omitempty"`
	Value   any    `json:"value,omitempty"`
}

type transform struct {
	ID      string         `json:"id"`
	Options map[string]any `json:"options"`
}

// newDashboard is one with what all of ours have.
func newDashboard(uid, title, description, since string, panels []panel) dashboard {
	return dashboard{
		UID: uid, Title: title, Description: description, Tags: []string{"signoff"}, SchemaVersion: 39, Editable: true, GraphTooltip: 1,
		Refresh: "1m", Timezone: "browser", Time: span{From: "now-" + since, To: "now"},
		Links: []link{{Title: "signoff", Type: "dashboards", Tags: []string{"signoff"}, IncludeVars: true, KeepTime: true}},
		Annotations: list{List: []any{
			annotation("Restarts", "orange", "process_start_time_seconds{@} * 1000", "signoff was started"),
			annotation("Config", "blue", "signoff_config_last_reload_success_timestamp_seconds{@} * 1000", "this config came into force"),
		}},
		Templating: list{List: []any{
			map[string]any{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "current": map[string]any{}},
			variable("job", "Job", `label_values(signoff_build_info, job)`),
			variable("instance", "Instance", `label_values(signoff_build_info{job=~"$job"}, instance)`),
		}},
		Panels: panels,
	}
}

// annotation marks the times that are the values of the query, in milliseconds.
func annotation(name, color, expr, said string) map[string]any {
	return map[string]any{"name": name, "datasource": prometheus, "enable": true, "iconColor": color, "expr": matched(expr),
		"useValueForTime": true, "titleFormat": said, "textFormat": "{{instance}}"}
}

func variable(name, label, query string) map[string]any {
	return map[string]any{"name": name, "label": label, "type": "query", "datasource": prometheus, "refresh": 2, "sort": 1,
		"query": map[string]any{"query": query, "refId": name}, "definition": query,
		"includeAll": true, "multi": true, "allValue": ".+", "current": map[string]any{"text": "All", "value": "$__all"}}
}

// matched puts the matchers of the variables where the query has @.
func matched(expr string) string {
	return strings.ReplaceAll(expr, "@", `job=~"$job",instance=~"$instance"`)
}

// layout places rows of panels below each other.
func layout(rows ...[]panel) []panel {
	var all []panel
	y := 0
	for _, row := range rows {
		x := 0
		for _, p := range row {
			p.ID = len(all) + 1
			p.GridPos.X, p.GridPos.Y = x, y
			x += p.GridPos.W
			all = append(all, p)
		}
		y += row[0].GridPos.H
	}
	return all
}

// high is a row of panels of the height, as wide as each is.
func high(h int, panels ...panel) []panel {
	for i := range panels {
		panels[i].GridPos.H = h
	}
	return panels
}

// wide gives a panel its width, of 24.
func (p panel) wide(w int) panel { p.GridPos.W = w; return p }

// heading is a row with a title.
func heading(title string) []panel {
	open := false
	return high(1, panel{Type: "row", Title: title, Collapsed: &open, Panels: &[]panel{}}.wide(24))
}

// asked is a query and the name of what it gives: a legend, or a column.
type asked struct{ name, expr string }

func newPanel(kind, title, description, unit string, queries []asked) panel {
	p := panel{Type: kind, Title: title, Description: description, Datasource: &prometheus,
		FieldConfig: &fieldConfig{Defaults: field{Unit: unit, Thresholds: steps("green")}, Overrides: []override{}}}
	for i, q := range queries {
		p.Targets = append(p.Targets, target{RefID: string(rune('A' + i)), Datasource: prometheus, Expr: matched(q.expr),
			LegendFormat: q.name, Format: "time_series", Range: true})
	}
	return p
}

// steps are thresholds: a color, then a value and the color from it on, and so on.
func steps(color string, more ...any) *thresholds {
	t := &thresholds{Mode: "absolute", Steps: []step{{Color: color}}}
	for i := 0; i+1 < len(more); i += 2 {
		var from float64
		switch v := more[i].(type) {
		case int:
			from = float64(v)
		case float64:
			from = v
		}
		t.Steps = append(t.Steps, step{Color: more[i+1].(string), Value: &from})
	}
	return t
}

// stat shows what is so now.
func stat(title, description, unit string, t *thresholds, queries ...asked) panel {
	p := newPanel("stat", title, description, unit, queries)
	for i := range p.Targets {
		p.Targets[i].Instant, p.Targets[i].Range = true, false
	}
	p.FieldConfig.Defaults.Thresholds = t
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "thresholds"}
	mode := "value"
	if len(queries) > 1 || strings.Contains(queries[0].name, "{{") {
		mode = "value_and_name"
	}
	p.Options = map[string]any{"colorMode": "value", "graphMode": "none", "textMode": mode, "justifyMode": "center",
		"orientation": "auto", "reduceOptions": map[string]any{"calcs": []string{"lastNotNull"}, "fields": "", "values": false}}
	return p
}

// graph shows how it went.
func graph(title, description, unit string, queries ...asked) panel {
	p := newPanel("timeseries", title, description, unit, queries)
	zero := 0.0
	p.FieldConfig.Defaults.Min = &zero
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "palette-classic"}
	p.FieldConfig.Defaults.Custom = map[string]any{"drawStyle": "line", "lineWidth": 1, "fillOpacity": 10, "showPoints": "never"}
	p.Options = map[string]any{
		"legend":  map[string]any{"displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": []string{}},
		"tooltip": map[string]any{"mode": "multi", "sort": "desc"},
	}
	return p
}

// stacked lays the series of a graph on each other.
func (p panel) stacked() panel {
	p.FieldConfig.Defaults.Custom["stacking"] = map[string]any{"mode": "normal", "group": "A"}
	p.FieldConfig.Defaults.Custom["fillOpacity"] = 40
	return p
}

// colors are the same for a state or an outcome wherever it is drawn.
var colors = map[string]string{
	"waiting": "blue", "due": "yellow", "submitted": "purple", "held": "orange", "failed": "red", "would_close": "semi-dark-green",
	"closed": "green", "already_closed": "light-green", "not_found": "yellow", "cancelled": "text", "skipped": "blue", "reopen_sent": "purple",
}

func (p panel) colored(names ...string) panel {
	for _, name := range names {
		p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, override{Matcher: property{ID: "byName", Options: name},
			Properties: []property{{ID: "color", Value: map[string]any{"mode": "fixed", "fixedColor": colors[name]}}}})
	}
	return p
}

// bars draws about so many bars, none of less than the least interval.
func (p panel) bars(about int, least string) panel {
	p.MaxDataPoints, p.Interval = about, least
	c := p.FieldConfig.Defaults.Custom
	c["drawStyle"], c["fillOpacity"], c["barAlignment"] = "bars", 80, -1
	return p
}

// limit draws a line in a graph, from which on it is bad.
func (p panel) limit(t *thresholds) panel {
	p.FieldConfig.Defaults.Thresholds = t
	p.FieldConfig.Defaults.Custom["thresholdsStyle"] = map[string]any{"mode": "line"}
	return p
}

// says puts words in the place of values, each with its color.
func (p panel) says(words ...word) panel {
	for _, w := range words {
		result := map[string]any{"text": w.text, "color": w.color, "index": 0}
		m := mapping{Type: "value", Options: map[string]any{w.value: result}}
		if w.value == "nan" {
			m = mapping{Type: "special", Options: map[string]any{"match": "nan", "result": result}}
		}
		p.FieldConfig.Defaults.Mappings = append(p.FieldConfig.Defaults.Mappings, m)
	}
	return p
}

type word struct{ value, text, color string }

// column is one of a table: a label, or what a query gives.
type column struct {
	label string // its values; "": those of expr
	expr  string
	title string
	unit  string
	t     *thresholds
	zero  string // in the place of 0
	sort  bool   // by it, the highest first
}

// widths of labels that are long, in pixels.
var widths = map[string]int{"account": 340}

// table shows what is so now, a row for each set of labels.
func table(title, description string, columns ...column) panel {
	var queries []asked
	for _, c := range columns {
		if c.label == "" {
			queries = append(queries, asked{c.title, c.expr})
		}
	}
	p := newPanel("table", title, description, "short", queries)
	rename, order := map[string]any{}, map[string]any{}
	hidden := map[string]any{"Time": true}
	sortBy := []any{}
	n := 0
	for i, c := range columns {
		name := c.label
		if name == "" {
			p.Targets[n].Format, p.Targets[n].Instant, p.Targets[n].Range = "table", true, false
			name = "Value"
			if len(queries) > 1 {
				name = "Value #" + p.Targets[n].RefID
			}
			n++
			p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, c.look())
		}
		if wide := widths[c.label]; wide > 0 {
			p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, override{Matcher: property{ID: "byName", Options: c.title},
				Properties: []property{{ID: "custom.width", Value: wide}}})
		}
		rename[name], order[name] = c.title, i
		if c.sort {
			sortBy = append(sortBy, map[string]any{"displayName": c.title, "desc": true})
		}
	}
	if len(queries) > 1 {
		p.Transformations = append(p.Transformations, transform{ID: "merge", Options: map[string]any{}})
	}
	p.Transformations = append(p.Transformations, transform{ID: "organize",
		Options: map[string]any{"excludeByName": hidden, "indexByName": order, "renameByName": rename}})
	p.FieldConfig.Defaults.Color = map[string]any{"mode": "thresholds"}
	p.FieldConfig.Defaults.Custom = map[string]any{"align": "auto", "minWidth": 60, "cellOptions": map[string]any{"type": "auto"}}
	p.Options = map[string]any{"showHeader": true, "cellHeight": "sm", "sortBy": sortBy}
	return p
}

func (c column) look() override {
	o := override{Matcher: property{ID: "byName", Options: c.title}, Properties: []property{{ID: "unit", Value: c.unit}}}
	if c.t != nil {
		o.Properties = append(o.Properties, property{ID: "thresholds", Value: c.t},
			property{ID: "custom.cellOptions", Value: map[string]any{"type": "color-text"}})
	}
	if c.unit == "dateTimeFromNow" {
		o.Properties = append(o.Properties, property{ID: "custom.minWidth", Value: 130})
	}
	if c.zero != "" {
		o.Properties = append(o.Properties, property{ID: "mappings", Value: []mapping{{Type: "value",
			Options: map[string]any{"0": map[string]any{"text": c.zero, "index": 0}}}}})
	}
	return o
}

// age is how long ago the time was that a gauge gives, and 0 where it gives none.
func age(selector string) string { return "(time() - " + selector + ") * (" + selector + " > bool 0)" }

// quantile is that of a histogram over the range, nan where nothing was observed.
func quantile(q, histogram, window, by string) string {
	labels := "le"
	if by != "" {
		labels += ", " + by
	}
	return "histogram_quantile(" + q + ", sum by (" + labels + ") (increase(" + histogram + "_bucket{@}[" + window + "])))"
}

// mode is the panel that every dashboard of ours begins with.
func mode() panel {
	return stat("Mode", "In a dry run signoff does all that it would do, but closes nobody. If this says so and you did not mean it, leavers keep their users: set `mode: close` in the config.",
		"none", steps("green", 1, "orange"), asked{"", `max(signoff_mode{@,mode="dry-run"})`}).
		says(word{"0", "closing", "green"}, word{"1", "DRY RUN: nobody is closed", "orange"}).background()
}

// background colors the whole panel.
func (p panel) background() panel {
	p.Options = maps.Clone(p.Options)
	p.Options["colorMode"] = "background"
	return p
}
