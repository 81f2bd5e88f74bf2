package consumer

import (
	"encoding/hex"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
)

// TraceParent is the header, and the extension attribute of a CloudEvent, that has a
// W3C trace context.
const TraceParent = "traceparent"

// The parts of a traceparent, which are hex in lower case: version, trace, span, flags.
const (
	versionLen = 2
	traceLen   = 32
	spanLen    = 16
	flagsLen   = 2
	parentLen  = versionLen + traceLen + spanLen + flagsLen + 3
)

// parseTraceParent returns the trace context in text, in the form of version 00, or ""
// if there is none that https://www.w3.org/TR/trace-context/ allows. What it says of
// a later version than that is taken as far as it is known.
func parseTraceParent(text string) string {
	text = strings.TrimSpace(text)
	if len(text) < parentLen || len(text) > maxAttribute {
		return ""
	}
	parts := strings.Split(text[:parentLen], "-")
	if len(parts) != 4 {
		return ""
	}
	version, trace, span, flags := parts[0], parts[1], parts[2], parts[3]
	switch {
	case !isHex(version, versionLen) || !isHex(trace, traceLen) || !isHex(span, spanLen) || !isHex(flags, flagsLen):
		return ""
	case strings.Trim(trace, "0") == "" || strings.Trim(span, "0") == "":
		return ""
	case version == "ff" || version == "00" && len(text) > parentLen || len(text) > parentLen && text[parentLen] != '-':
		return ""
	}
	return strings.Join([]string{"00", trace, span, flags}, "-")
}

func isHex(s string, length int) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == length && strings.ToLower(s) == s
}

// TraceID is the trace's id in what parseTraceParent has returned; "" for none.
func TraceID(parent string) string {
	if parent == "" {
		return ""
	}
	return parent[versionLen+1 : versionLen+1+traceLen]
}

// traceOf is the trace context that an event has itself or, if it has none, the one
// of what it came by.
func traceOf(e event.Event, carried string) string {
	if own, ok := e.Extensions()[TraceParent].(string); ok {
		if parent := parseTraceParent(own); parent != "" {
			return parent
		}
	}
	return parseTraceParent(carried)
}
