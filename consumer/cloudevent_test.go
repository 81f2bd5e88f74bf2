package consumer

import (
	"errors"
	"strings"
	"testing"
)

func TestParseStructuredRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		text   string
		detail string // a part of it
	}{
		"nothing":                     {``, "not JSON"},
		"null":                        {`null`, "not a JSON object"},
		"an array":                    {`[]`, "not a JSON object"},
		"half an object":              {`{"specversion":"1.0"`, "not JSON at byte"},
		"text after the object":       {`{"specversion":"1.0","id":"1","source":"/x","type":"t"} x`, "not JSON at byte"},
		"Latin-1":                     {"{\"specversion\":\"1.0\",\"id\":\"\xe9\",\"source\":\"/x\",\"type\":\"t\"}", "not UTF-8"},
		"no version":                  {`{"id":"1","source":"/x","type":"t"}`, "specversion: neither"},
		"a version to come":           {`{"specversion":"2.0","id":"1","source":"/x","type":"t"}`, "specversion: neither"},
		"an id that is a number":      {`{"specversion":"1.0","id":1,"source":"/x","type":"t"}`, "id: not a string"},
		"a key twice":                 {`{"specversion":"1.0","id":"1","id":"2","source":"/x","type":"t"}`, "a key for the second time"},
		"a key twice in the data":     {`{"specversion":"1.0","id":"1","source":"/x","type":"t","data":{"a":{"b":1,"b":1}}}`, "a key for the second time"},
		"data twice over":             {`{"specversion":"1.0","id":"1","source":"/x","type":"t","data":{},"data_base64":"e30="}`, "both data and data_base64"},
		"an attribute without a name": {`{"":1,"specversion":"1.0","id":"1","source":"/x","type":"t"}`, "no name"},
		"an attribute in capitals":    {`{"specversion":"1.0","ID":"1","id":"1","source":"/x","type":"t"}`, "attributes"},
		"an extension of many parts":  {`{"specversion":"1.0","id":"1","source":"/x","type":"t","ext":{"jane@example.com":1}}`, "attributes"},
		"a source that is no URI":     {`{"specversion":"1.0","id":"1","source":"jane@example.com:%","type":"t"}`, "source: not a URI"},
		"a time that is none":         {`{"specversion":"1.0","id":"1","source":"/x","type":"t","time":"jane@example.com"}`, "time: not an RFC 3339"},
		"base64 that is none":         {`{"specversion":"1.0","id":"1","source":"/x","type":"t","data_base64":"jane@example.com"}`, "data_base64: not base64"},

		// What the SDK panics on.
		"base64 that is a number":            {`{"specversion":"1.0","data_base64":1,"type":"t","source":"/x","id":"1"}`, "data_base64: not base64"},
		"base64 of 0.3 that is a number":     {`{"specversion":"0.3","datacontentencoding":"base64","data":1,"type":"t","source":"/x","id":"1"}`, "data or attributes"},
		"an empty encoding in front, of 0.3": {`{"datacontentencoding":"","specversion":"0.3","type":"t","source":"/x","id":"1"}`, "data or attributes"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := ParseStructured([]byte(c.text))
			var u *UnreadableError
			if !errors.As(err, &u) {
				t.Fatalf("got %v, %v", e, err)
			}
			if u.Reason != InvalidEvent || !strings.Contains(u.Detail, c.detail) {
				t.Errorf("got %v, want …%s…", u, c.detail)
			}
			if strings.Contains(u.Detail, "jane") {
				t.Errorf("%v quotes the event", u)
			}
			if e.Context != nil {
				t.Errorf("an event comes with the error: %v", e)
			}
		})
	}
}

func TestParseStructuredData(t *testing.T) {
	const head = `{"specversion":"1.0","id":"1","source":"/x","type":"t",`
	for name, c := range map[string]struct{ text, want string }{
		"none":                            {`{"specversion":"1.0","id":"1","source":"/x","type":"t"}`, ""},
		"an object":                       {head + `"data":{"a": 1}}`, `{"a": 1}`},
		"a string of JSON":                {head + `"data":"{}"}`, `"{}"`},
		"an object of a +json type":       {head + `"datacontenttype":"application/x+json","data":{"a": 1}}`, `{"a": 1}`},
		"a string of a +json type":        {head + `"datacontenttype":"application/x+json","data":"{\"a\": 1}"}`, `{"a": 1}`},
		"text":                            {head + `"datacontenttype":"text/plain","data":"a\nb"}`, "a\nb"},
		"base64":                          {head + `"data_base64":"eyJhIjoxfQ=="}`, `{"a":1}`},
		"base64 with escaped slashes":     {head + `"data_base64":"\/\/8="}`, "\xff\xff"},
		"base64 in the manner of 0.3":     {`{"specversion":"0.3","id":"1","source":"/x","type":"t","datacontentencoding":"base64","data":"eyJhIjoxfQ=="}`, `{"a":1}`},
		"absent attributes that are null": {head + `"subject":null,"time":null,"datacontenttype":null,"ext":null,"data":{}}`, "{}"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := ParseStructured([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			if got := string(e.Data()); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if err := Validate(e); err != nil {
				t.Error(err)
			}
		})
	}
}
