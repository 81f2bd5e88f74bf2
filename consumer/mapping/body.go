package mapping

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"

	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// bodyOf makes of what consumer.ParseJSON returns what an expression sees, in
// place. Members that are null are taken out, since vendors write null and leave
// out as they please.
func bodyOf(value any) any {
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			if member == nil {
				delete(v, name)
				continue
			}
			v[name] = bodyOf(member)
		}
	case []any:
		for i, item := range v {
			v[i] = bodyOf(item)
		}
	case json.Number:
		return numberOf(v.String())
	}
	return value
}

// numberOf keeps whole numbers exact, since many ids are numbers: one that no
// integer holds is its text. So is one that is too large for anything.
func numberOf(text string) any {
	if i, err := strconv.ParseInt(text, 10, 64); err == nil {
		return i
	}
	if u, err := strconv.ParseUint(text, 10, 64); err == nil {
		return u
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && !digits(text) {
		return f
	}
	return text
}

func digits(text string) bool {
	for i := range len(text) {
		if (text[i] < '0' || text[i] > '9') && (i > 0 || text[i] != '-') {
			return false
		}
	}
	return true
}

// adapter gives objects their members in the order of their names: an event may
// be told by its place in the result, which must be the same each time.
type adapter struct{ types.Adapter }

func (a adapter) NativeToValue(value any) ref.Val {
	switch v := value.(type) {
	case map[string]any:
		return object{types.NewStringInterfaceMap(a, v), v}
	case []any:
		return types.NewDynamicList(a, v)
	}
	return a.Adapter.NativeToValue(value)
}

type object struct {
	traits.Mapper
	members map[string]any
}

// Iterator goes over the names in their order.
func (o object) Iterator() traits.Iterator {
	return types.NewStringList(types.DefaultTypeAdapter, slices.Sorted(maps.Keys(o.members))).Iterator()
}
