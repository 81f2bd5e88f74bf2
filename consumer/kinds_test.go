package consumer

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestKind(t *testing.T) {
	d := newDecoder(t, Config{Types: Types{
		Terminated: []string{"com.acme.hr.employee.*", "employee_left", "*.left", "a*b*b*c"},
		Rescinded:  []string{"com.acme.hr.employee.termination.*ed"},
		Rehired:    []string{"com.acme.hr.employee.rehired", "com.acme.hr.employee.ter*"},
	}})
	for name, c := range map[string]struct {
		ceType string
		want   Kind
	}{
		"canonical":                           {TypeTerminated, Terminated},
		"canonical rescinded":                 {TypeRescinded, Rescinded},
		"canonical rehired":                   {TypeRehired, Rehired},
		"canonical in capitals":               {strings.ToUpper(TypeTerminated), ""},
		"by name":                             {"employee_left", Terminated},
		"by glob":                             {"com.acme.hr.employee.left", Terminated},
		"a star matches dots":                 {"com.acme.hr.employee.of.the.month", Terminated},
		"a star matches nothing":              {"com.acme.hr.employee.", Terminated},
		"a star in front":                     {"x.left", Terminated},
		"a star in the middle":                {"com.acme.hr.employee.termination.cancelled", Rescinded},
		"a name before a glob":                {"com.acme.hr.employee.rehired", Rehired},
		"of two globs, what closes nobody":    {"com.acme.hr.employee.terminated", Rehired},
		"several stars":                       {"a-b-b-c", Terminated},
		"several stars, a part too few":       {"a-b-c", ""},
		"the text between stars overlaps":     {"abc", ""},
		"only the beginning":                  {"com.acme.hr.employee", ""},
		"a dot is a dot":                      {"comXacme.hr.employee.left2", ""},
		"none of ours":                        {"com.acme.hr.badge.printed", ""},
		"none at all":                         {"", ""},
		"longer than what is remembered, too": {"com.acme.hr.employee." + strings.Repeat("x", 1000), Terminated},
	} {
		t.Run(name, func(t *testing.T) {
			for _, time := range []string{"first", "second"} { // from memory
				if got, ok := d.Kind(c.ceType); got != c.want || ok != (c.want != "") {
					t.Errorf("%s time: got %q, %v", time, got, ok)
				}
			}
		})
	}
}

func TestKindRemembersSoMany(t *testing.T) {
	d := newDecoder(t, Config{Types: Types{Terminated: []string{"left.*"}}})
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			for i := range 2 * maxSeen {
				n := strconv.Itoa(worker) + "." + strconv.Itoa(i)
				if kind, _ := d.Kind("left." + n); kind != Terminated {
					t.Errorf("left.%s is %q", n, kind)
				}
				if _, ok := d.Kind("joined." + n); ok {
					t.Errorf("joined.%s is ours", n)
				}
			}
		})
	}
	wg.Wait()
	if n := len(d.kinds.seen); n > maxSeen {
		t.Errorf("remembers %d types", n)
	}
}

func TestKindDoesNotAllocate(t *testing.T) {
	d := newDecoder(t, Config{Types: Types{Terminated: []string{"left.*"}}})
	for _, ceType := range []string{TypeTerminated, "left.today", "joined"} {
		d.Kind(ceType)
		if n := testing.AllocsPerRun(100, func() { d.Kind(ceType) }); n != 0 {
			t.Errorf("%s: %v allocations", ceType, n)
		}
	}
}

func TestConfigValidate(t *testing.T) {
	for name, c := range map[string]struct {
		cfg  Config
		want string // the beginning of the error; "": valid
	}{
		"nothing set":               {Config{}, ""},
		"all set":                   {Config{Types: Types{[]string{"a", "b.*"}, []string{"c"}, []string{"d"}}, TimeZone: "Europe/Lisbon", MaxAge: time.Hour}, ""},
		"a canonical name, again":   {Config{Types: Types{Rehired: []string{TypeRehired}}}, ""},
		"a canonical name, wrongly": {Config{Types: Types{Terminated: []string{TypeRehired}}}, `events.types.terminated: "` + TypeRehired + `": already means rehired`},
		"a name of two kinds":       {Config{Types: Types{Terminated: []string{"a"}, Rescinded: []string{"a"}}}, `events.types.terminated: "a": already means rescinded`},
		"an empty name":             {Config{Types: Types{Rescinded: []string{""}}}, `events.types.rescinded: "": empty`},
		"a name with a space":       {Config{Types: Types{Rescinded: []string{"a b"}}}, `events.types.rescinded: "a b": has a space`},
		"everything":                {Config{Types: Types{Terminated: []string{"**"}}}, `events.types.terminated: "**": matches every type`},
		"no such zone":              {Config{TimeZone: "Europe/Lisboa"}, "events.time_zone: Europe/Lisboa: not the name"},
		"the machine's zone":        {Config{TimeZone: "Local"}, "events.time_zone: Local: not the name"},
		"a negative age":            {Config{MaxAge: -time.Hour}, "events.max_age: -1h0m0s: negative"},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.cfg.Validate()
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)) {
				t.Errorf("got %v, want %q", err, c.want)
			}
			if _, newErr := NewDecoder(c.cfg, nil); (newErr == nil) != (err == nil) {
				t.Errorf("NewDecoder says %v", newErr)
			}
		})
	}
}
