package consumer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// maxDepth is how deeply arrays and objects may nest.
const maxDepth = 64

// ParseJSON reads one JSON value as encoding/json does into an any, with
// numbers as they were written. It refuses what two readers could take
// differently: keys that repeat and bytes that are not UTF-8. No error quotes
// the text.
func ParseJSON(text []byte) (any, error) {
	dec, err := valueOf(text)
	if err != nil {
		return nil, err
	}
	return parseValue(dec, 0)
}

// checkJSON says whether ParseJSON would read the text, and keeps nothing of it
// but the keys of the objects that it is in.
func checkJSON(text []byte) error {
	dec, err := valueOf(text)
	if err != nil {
		return err
	}
	var within []map[string]bool // objects and arrays, these nil
	inside := func() map[string]bool { return within[len(within)-1] }
	for named := false; ; {
		token, err := dec.Token()
		if err != nil {
			return fmt.Errorf("not JSON at byte %d", dec.InputOffset())
		}
		delim, _ := token.(json.Delim)
		switch name, _ := token.(string); {
		case delim == '}' || delim == ']':
			within = within[:len(within)-1]
		case len(within) > 0 && inside() != nil && !named:
			if inside()[name] {
				return fmt.Errorf("a key for the second time at byte %d", dec.InputOffset())
			}
			inside()[name], named = true, true
			continue
		case len(within) > maxDepth:
			return fmt.Errorf("nested more than %d deep", maxDepth)
		case delim == '{':
			within = append(within, map[string]bool{})
		case delim == '[':
			within = append(within, nil)
		}
		if named = false; len(within) == 0 {
			return nil
		}
	}
}

// valueOf returns a decoder of the one JSON value that the text is.
func valueOf(text []byte) (*json.Decoder, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("not UTF-8")
	}
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("not JSON at byte %d", syntax.Offset)
		}
		return nil, errors.New("not JSON")
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec, nil
}

func parseValue(dec *json.Decoder, depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("nested more than %d deep", maxDepth)
	}
	token, err := dec.Token()
	if err != nil {
		return nil, fmt.Errorf("not JSON at byte %d", dec.InputOffset())
	}
	switch token {
	case json.Delim('{'):
		return parseObject(dec, depth)
	case json.Delim('['):
		return parseArray(dec, depth)
	}
	return token, nil
}

func parseObject(dec *json.Decoder, depth int) (any, error) {
	object := make(map[string]any)
	for dec.More() {
		token, err := dec.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("not JSON at byte %d", dec.InputOffset())
		}
		if _, ok := object[name]; ok {
			return nil, fmt.Errorf("a key for the second time at byte %d", dec.InputOffset())
		}
		if object[name], err = parseValue(dec, depth+1); err != nil {
			return nil, err
		}
	}
	_, err := dec.Token()
	return object, err
}

func parseArray(dec *json.Decoder, depth int) (any, error) {
	array := []any{}
	for dec.More() {
		value, err := parseValue(dec, depth+1)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
	_, err := dec.Token()
	return array, err
}
