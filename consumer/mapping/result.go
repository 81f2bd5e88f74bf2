package mapping

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
	"github.com/cloudevents/sdk-go/v2/event"

	"signoff/consumer"
)

// The keys of an item of the result that are no data.
const (
	keyType   = "type"
	keyID     = "id"
	keySource = "source"
	keyTime   = "time"
)

// keys are all that an item may have.
var keys = []string{
	"email", "employeeId", "otherEmails", "effectiveAt", "timeZone", "urgent", "terminationId", "managerEmail",
	"givenName", "familyName", "legalEntity", "department", keyType, keyID, keySource, keyTime,
}

// kinds are the values of type.
var kinds = map[string]string{
	string(consumer.Terminated): consumer.TypeTerminated,
	string(consumer.Rescinded):  consumer.TypeRescinded,
	string(consumer.Rehired):    consumer.TypeRehired,
}

const unknownType = `type: none of "terminated", "rescinded", "rehired"`

const (
	maxEvents = 1000    // of a payload
	maxData   = 4 << 20 // bytes of the data of all of them
	maxField  = 2 << 10 // bytes of a text: more than the decoder takes of any
	maxOthers = 20      // otherEmails: likewise
)

// events makes CloudEvents of the value of the expression.
func (m *Mapping) events(result ref.Val, fallback string) ([]event.Event, error) {
	list, ok := result.(traits.Lister)
	if !ok {
		return nil, failed("the result: not a list")
	}
	n := int(list.Size().(types.Int))
	if n > maxEvents {
		return nil, failed("the result: more than %d events", maxEvents)
	}
	all := make([]event.Event, 0, n)
	size := 0
	for i := range n {
		item, ok := list.Get(types.Int(i)).(traits.Mapper)
		if !ok {
			return nil, failed("the result: item %d is not a map", i)
		}
		id := fallback
		if i > 0 {
			id += "/" + strconv.Itoa(i)
		}
		e, err := m.event(item, id)
		if err != nil {
			return nil, failed("the result: item %d: %v", i, err)
		}
		if size += len(e.DataEncoded); size > maxData {
			return nil, failed("the result: events of more than %d MiB", maxData>>20)
		}
		all = append(all, e)
	}
	return all, nil
}

// event makes one event. What is wrong with its data is left to the decoder,
// which refuses this event and not the others of the payload.
func (m *Mapping) event(item traits.Mapper, fallback string) (event.Event, error) {
	e := event.New()
	e.SetID(fallback)
	e.SetSource(m.name)
	e.SetType(consumer.TypeTerminated)
	data := make(map[string]any)
	for it := item.Iterator(); it.HasNext() == types.True; {
		key := it.Next()
		name, ok := key.(types.String)
		switch {
		case !ok:
			return e, errors.New("a key that is not text")
		case !slices.Contains(keys, string(name)):
			return e, m.unknownKey(string(name))
		}
		value := native(item.Get(key))
		if text, ok := value.(string); value == nil || ok && strings.TrimSpace(text) == "" {
			continue
		}
		switch name {
		case keyType, keyID, keySource, keyTime:
			if err := setAttribute(&e, string(name), value); err != nil {
				return e, err
			}
		default:
			data[string(name)] = value
		}
	}
	text, err := json.Marshal(data)
	if err != nil {
		return e, errors.New("its data: not what JSON can hold")
	}
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = text
	return e, nil
}

// unknownKey names the key unless it came out of the payload.
func (m *Mapping) unknownKey(name string) error {
	if !m.words[name] {
		return errors.New("a key that no event has")
	}
	return errors.New(unknownKey(name))
}

func setAttribute(e *event.Event, name string, value any) error {
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("%s: not text", name)
	}
	switch name {
	case keyID:
		e.SetID(text)
	case keySource:
		e.SetSource(text)
		if e.Source() != text {
			return errors.New("source: not a URI reference")
		}
	case keyType:
		ceType, ok := kinds[text]
		if !ok {
			return errors.New(unknownType)
		}
		e.SetType(ceType)
	case keyTime:
		at, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return errors.New("time: not an RFC 3339 date-time")
		}
		e.SetTime(at)
	}
	return nil
}

// native is what JSON has for a value: nil where there is none. Whole numbers are
// text, since ids may be either. What no field takes is an empty object, which the
// decoder refuses.
func native(v ref.Val) any {
	switch v := v.(type) {
	case types.Null:
		return nil
	case types.String:
		return cut(string(v), maxField)
	case types.Bool:
		return bool(v)
	case types.Int:
		return strconv.FormatInt(int64(v), 10)
	case types.Uint:
		return strconv.FormatUint(uint64(v), 10)
	case types.Timestamp:
		return v.Time.UTC().Format(time.RFC3339Nano)
	case *types.Optional:
		if v.HasValue() {
			return native(v.GetValue())
		}
		return nil
	case traits.Lister:
		return texts(v)
	}
	return struct{}{}
}

// texts are the items of a list that hold something. Of a list that is too long
// as many are enough for the decoder to see that.
func texts(list traits.Lister) []any {
	n := int(list.Size().(types.Int))
	items := []any{}
	for i := range min(n, maxOthers+1) {
		var item any = struct{}{}
		value := list.Get(types.Int(i))
		if _, nested := value.(traits.Lister); !nested {
			item = native(value)
		}
		if n > maxOthers || item != nil && item != "" {
			items = append(items, item)
		}
	}
	return items
}

// cut shortens what is longer than any field may be. The decoder refuses the
// event all the same.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
