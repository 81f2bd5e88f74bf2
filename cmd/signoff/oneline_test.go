package main

import "testing"

func TestOneLine(t *testing.T) {
	for text, want := range map[string]string{"Zoë left, 日本": "Zoë left, 日本", "{\n\t1}": `{\n\t1}`, "  \x1b[31mred\n": `\x1b[31mred`, "": ""} {
		if got := oneLine(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
