package console

import "testing"

func TestPrintable(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"plain":                    {"Zoë left, 日本", "Zoë left, 日本"},
		"lines":                    {"{\n\t1}", "{\n\t1}"},
		"a color":                  {"\x1b[31mred", `\x1b[31mred`},
		"a title":                  {"\x1b]0;x\a", `\x1b]0;x\a`},
		"an eight-bit sequence":    {"\u009b2J", `\u009b2J`},
		"back over what was there": {"ok\r\b\x7f", `ok\r\b\x7f`},
		"turned round":             {"a\u202egnp.exe", `a\u202egnp.exe`},
		"nothing to be seen":       {"a\u200bb", `a\u200bb`},
		"nothing, among letters":   {"a\ufe0fn\u034fa\u3164\u2800\U000e0101@", `a\ufe0fn\u034fa\u3164\u2800\U000e0101@`},
		"no UTF-8":                 {"\xff\x00é", `\xff\x00é`},
		"quotes":                   {`"it's"`, `"it's"`},
		"nothing":                  {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Printable([]byte(c.text)); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
