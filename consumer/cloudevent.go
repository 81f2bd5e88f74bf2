package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"golang.org/x/sync/semaphore"
)

// UnreadableError says why an event could not be understood. Detail names the field
// and what is wrong with it, for a person; it quotes nothing of the event.
type UnreadableError struct {
	Reason Reason
	Detail string
}

// maxEvent bounds an event in the JSON format, and data: read, they may take a
// hundred times their size.
const (
	maxEvent = 512 << 10 // bytes
	tooLarge = "larger than 512 KiB"
)

// underWay bounds the bytes of all that is read at the same time.
var underWay = semaphore.NewWeighted(maxEvent)

func (u *UnreadableError) Error() string { return string(u.Reason) + ": " + u.Detail }

func invalidEvent(detail string) error { return &UnreadableError{InvalidEvent, detail} }
func invalidData(detail string) error  { return &UnreadableError{InvalidData, detail} }

// Validate tells whether e is a CloudEvent, as the SDK does, which says so only
// when asked. The error is an *UnreadableError that names the attributes at fault.
func Validate(e event.Event) error {
	err := e.Validate()
	if err == nil {
		return nil
	}
	var wrong event.ValidationError
	if !errors.As(err, &wrong) {
		return invalidEvent("not a CloudEvent")
	}
	names := slices.Sorted(maps.Keys(wrong)) // not the texts, which may quote the event
	return invalidEvent(strings.Join(names, ", ") + ": missing or malformed")
}

// ParseStructured reads one CloudEvent in the JSON format, whose keys may not
// repeat at any depth. It does not Validate the event. An error is an
// *UnreadableError with the reason InvalidEvent.
//
// Only the attributes are left to the SDK: with the data it panics on a
// data_base64 that is no string, and refuses an object whose media type ends in
// +json.
func ParseStructured(text []byte) (e event.Event, err error) {
	defer func() {
		if recover() != nil { // data of version 0.3 in base64 is left to it, too
			e, err = event.Event{}, invalidEvent("data or attributes are not as CloudEvents asks")
		}
	}()
	if len(text) > maxEvent {
		return event.Event{}, invalidEvent(tooLarge)
	}
	_ = underWay.Acquire(context.Background(), int64(len(text))) // others are done soon
	defer underWay.Release(int64(len(text)))
	if err := checkJSON(text); err != nil {
		return event.Event{}, invalidEvent(err.Error())
	}
	var members map[string]json.RawMessage
	if json.Unmarshal(text, &members) != nil || members == nil {
		return event.Event{}, invalidEvent("not a JSON object")
	}
	// The JSON format has null mean absent.
	maps.DeleteFunc(members, func(_ string, raw json.RawMessage) bool { return string(raw) == "null" })
	if fault := attributeFault(members); fault != "" {
		return event.Event{}, invalidEvent(fault)
	}
	data, encoded, fault := takeData(members)
	if fault != "" {
		return event.Event{}, invalidEvent(fault)
	}
	attributes, err := json.Marshal(members)
	if err != nil || json.Unmarshal(attributes, &e) != nil {
		return event.Event{}, invalidEvent("attributes that are not as CloudEvents asks")
	}
	setData(&e, data, encoded)
	return e, nil
}

// attributeFault finds what the SDK would pass over, or would report by quoting
// the event. It is "" if there is nothing.
func attributeFault(members map[string]json.RawMessage) string {
	if _, ok := members[""]; ok { // here the SDK would take the event to be over
		return "an attribute has no name"
	}
	for name, raw := range members { // it would refuse that only after having built it all
		if name != "data" && name != "data_base64" && (raw[0] == '{' || raw[0] == '[') {
			return "attributes: one is an object or an array"
		}
	}
	text := make(map[string]string)
	for _, name := range []string{"specversion", "id", "source", "type", "subject", "time",
		"datacontenttype", "dataschema", "schemaurl", "datacontentencoding"} {
		raw, ok := members[name]
		if !ok {
			continue
		}
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return name + ": not a string"
		}
		text[name] = s
	}
	if v := text["specversion"]; v != event.CloudEventsVersionV1 && v != event.CloudEventsVersionV03 {
		return "specversion: neither 1.0 nor 0.3"
	}
	if source, ok := text["source"]; ok && types.ParseURIRef(source) == nil {
		return "source: not a URI reference"
	}
	if _, err := types.ParseTimestamp(text["time"]); err != nil {
		return "time: not an RFC 3339 date-time"
	}
	return ""
}

// takeData removes the data from the members, and says whether it was in
// base64. It leaves the base64 of version 0.3 where it is.
func takeData(members map[string]json.RawMessage) (data []byte, encoded bool, fault string) {
	if _, ok := members["datacontentencoding"]; ok {
		return nil, false, ""
	}
	inBase64, encoded := members["data_base64"]
	data, plain := members["data"]
	delete(members, "data_base64")
	delete(members, "data")
	switch {
	case encoded && plain:
		return nil, false, "both data and data_base64"
	case encoded:
		data = nil
		if inBase64[0] != '"' || json.Unmarshal(inBase64, &data) != nil {
			return nil, false, "data_base64: not base64"
		}
	}
	return data, encoded, ""
}

// setData gives e the data taken from its members. Where the media type is not
// that of JSON, a JSON string stands for its content: so text comes, and from
// the SDK's own senders also JSON of a type that ends in +json.
func setData(e *event.Event, data []byte, encoded bool) {
	if data == nil {
		return
	}
	e.DataEncoded, e.DataBase64 = data, encoded
	media := e.DataMediaType()
	if encoded || media == "" || media == event.ApplicationJSON || media == event.TextJSON {
		return
	}
	var content string
	if json.Unmarshal(data, &content) == nil {
		e.DataEncoded = []byte(content)
	}
}

// Structured is an event in the JSON format, from which ParseStructured reads the
// same event. What came in binary mode is kept so, since its body alone could not
// be understood again.
func Structured(e event.Event) []byte {
	err := checkJSON(e.Data()) // what ParseStructured would refuse goes in base64
	e.DataBase64 = err != nil
	if old := e.Context; e.DataBase64 && old != nil && old.GetSpecVersion() == event.CloudEventsVersionV03 {
		encoded, base64 := old.AsV03(), event.Base64 // a copy
		encoded.DataContentEncoding = &base64
		e.Context = encoded
	}
	text, err := json.Marshal(e)
	if err != nil { // of an event that is none: the body is all there is to keep
		return e.Data()
	}
	return text
}
