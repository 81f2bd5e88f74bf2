package mapping

import (
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"signoff/consumer"
)

// maxText bounds, in bytes, what our functions take and what they make: no field
// of an event is as long.
const maxText = 4 << 10

// refusal is an error of a function of ours. It says nothing of the payload.
type refusal string

func (r refusal) Error() string { return string(r) }

func refuse(format string, args ...any) ref.Val {
	return types.WrapErr(refusal(fmt.Sprintf(format, args...)))
}

// functions are those that the standard library lacks, with the names and
// meanings that CEL's own extensions give them where there are such.
func functions() []cel.EnvOption {
	s, i := cel.StringType, cel.IntType
	return []cel.EnvOption{
		member("lowerAscii", s, lowerASCII, s),
		member("trim", s, trim, s),
		member("replace", s, replace, s, s, s),
		member("split", cel.ListType(s), split, s, s),
		cel.Function("substring",
			overload("substring_from", s, substring, s, i), overload("substring_from_to", s, substring, s, i, i)),
		member("matches", cel.BoolType, matches, s, s),
		cel.Function("parseTime", cel.Overload("parseTime_text_layout_zone", []*cel.Type{s, s, s}, cel.TimestampType,
			cel.FunctionBinding(bounded("parseTime", parseTime)))),
		cel.Function("parseDate", cel.Overload("parseDate_text_layout", []*cel.Type{s, s}, s,
			cel.FunctionBinding(bounded("parseDate", parseDate)))),
	}
}

type binding func(texts []string, numbers []int64) ref.Val

func member(name string, result *cel.Type, f binding, args ...*cel.Type) cel.EnvOption {
	return cel.Function(name, overload(name+"_text", result, f, args...))
}

func overload(id string, result *cel.Type, f binding, args ...*cel.Type) cel.FunctionOpt {
	name, _, _ := strings.Cut(id, "_")
	return cel.MemberOverload(id, args, result, cel.FunctionBinding(bounded(name, f)))
}

// bounded calls f unless one of its texts is too long. All arguments are of the
// declared types: CEL sees to that.
func bounded(name string, f binding) func(...ref.Val) ref.Val {
	return func(args ...ref.Val) ref.Val {
		var texts []string
		var numbers []int64
		for _, arg := range args {
			switch v := arg.(type) {
			case types.String:
				if len(v) > maxText {
					return refuse("%s: text of more than %d bytes", name, maxText)
				}
				texts = append(texts, string(v))
			case types.Int:
				numbers = append(numbers, int64(v))
			}
		}
		return f(texts, numbers)
	}
}

func lowerASCII(t []string, _ []int64) ref.Val {
	return types.String(strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, t[0]))
}

func trim(t []string, _ []int64) ref.Val { return types.String(strings.TrimSpace(t[0])) }

func replace(t []string, _ []int64) ref.Val {
	text, from, to := t[0], t[1], t[2]
	if len(text)+strings.Count(text, from)*(len(to)-len(from)) > maxText {
		return refuse("replace: would make more than %d bytes", maxText)
	}
	return types.String(strings.ReplaceAll(text, from, to))
}

func split(t []string, _ []int64) ref.Val {
	return types.DefaultTypeAdapter.NativeToValue(strings.Split(t[0], t[1]))
}

// substring counts characters, as CEL does everywhere.
func substring(t []string, n []int64) ref.Val {
	text := []rune(t[0])
	start, end := n[0], int64(len(text))
	if len(n) == 2 {
		end = n[1]
	}
	if start < 0 || start > end || end > int64(len(text)) {
		return refuse("substring: the text is shorter, or the end before the start")
	}
	return types.String(string(text[start:end]))
}

// patterns are compiled ones. Each is a literal of an expression, so there are
// few.
var patterns sync.Map // text to *regexp.Regexp

func matches(t []string, _ []int64) ref.Val {
	compiled, ok := patterns.Load(t[1])
	if !ok {
		made, err := regexp.Compile(t[1])
		if err != nil {
			return refuse("matches: not a regular expression")
		}
		compiled, _ = patterns.LoadOrStore(t[1], made)
	}
	return types.Bool(compiled.(*regexp.Regexp).MatchString(t[0]))
}

// parseTime reads text as a layout of Go's package time has it, in a zone where
// the text names none.
func parseTime(t []string, _ []int64) ref.Val {
	zone, err := consumer.Location(t[2])
	if err != nil {
		return refuse("parseTime: not the name of a time zone")
	}
	at, err := time.ParseInLocation(t[1], t[0], zone)
	if err != nil || at.Year() < 1 {
		return refuse("parseTime: the text is not as the layout has it")
	}
	return types.Timestamp{Time: at.UTC()}
}

// parseDate makes the date of a text, as effectiveAt takes it.
func parseDate(t []string, _ []int64) ref.Val {
	at, err := time.Parse(t[1], t[0])
	if err != nil {
		return refuse("parseDate: the text is not as the layout has it")
	}
	return types.String(at.Format(time.DateOnly))
}
