package consumer

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The canonical schema's limits, in characters.
const (
	maxEmail       = 320
	maxID          = 128
	maxName        = 256
	maxOtherEmails = 16 // addresses
)

// fields reads members of an event's data by name. The first fault found stays
// in err; members that are not asked for may hold anything.
type fields struct {
	members map[string]any
	err     error // an *UnreadableError
}

func (f *fields) fault(detail string) {
	if f.err == nil {
		f.err = invalidData(detail)
	}
}

func (f *fields) has(name string) bool {
	_, ok := f.members[name]
	return ok
}

// text is trimmed, and "" if there is none.
func (f *fields) text(name string, limit int) string {
	value, ok := f.members[name]
	if !ok {
		return ""
	}
	return f.trimmed(name, value, limit)
}

func (f *fields) trimmed(name string, value any, limit int) string {
	text, ok := value.(string)
	if !ok {
		f.fault(name + ": not a string")
		return ""
	}
	text = strings.TrimSpace(text)
	if utf8.RuneCountInString(text) > limit {
		f.fault(fmt.Sprintf("%s: longer than %d characters", name, limit))
		return ""
	}
	return text
}

func (f *fields) id(name string) string {
	id := f.text(name, maxID)
	if strings.ContainsFunc(id, control) {
		f.fault(name + ": has a control character")
	}
	return id
}

// shown is text that nothing is matched by. A stray control character is no
// reason to leave a user open, but must not reach a terminal.
func (f *fields) shown(name string, limit int) string {
	return strings.Map(func(r rune) rune {
		if control(r) {
			return ' '
		}
		return r
	}, f.text(name, limit))
}

func (f *fields) flag(name string) bool {
	value, ok := f.members[name]
	if !ok {
		return false
	}
	flag, ok := value.(bool)
	if !ok {
		f.fault(name + ": neither true nor false")
	}
	return flag
}

func (f *fields) email(name string) string {
	return f.address(name, f.text(name, maxEmail))
}

// otherEmails are without the main one, repeats and blanks; nil if none is left.
func (f *fields) otherEmails(name, main string) []string {
	value, ok := f.members[name]
	if !ok {
		return nil
	}
	list, ok := value.([]any)
	if !ok {
		f.fault(name + ": not an array")
		return nil
	}
	if len(list) > maxOtherEmails {
		f.fault(fmt.Sprintf("%s: more than %d", name, maxOtherEmails))
		return nil
	}
	var others []string
	for i, item := range list {
		at := fmt.Sprintf("%s[%d]", name, i)
		email := f.address(at, f.trimmed(at, item, maxEmail))
		if email != "" && email != main && !slices.Contains(others, email) {
			others = append(others, email)
		}
	}
	return others
}

// address lower-cases an email. It asks for little, since the directory finds
// out whether there is such a user; but a display name, or a list, is no email.
func (f *fields) address(name, email string) string {
	if email == "" {
		return ""
	}
	email = strings.ToLower(email)
	local, domain, _ := strings.Cut(email, "@")
	if local == "" || domain == "" || strings.Contains(domain, "@") ||
		strings.ContainsFunc(email, invisible) || strings.ContainsAny(email, "<>\",;\uFFFD") {
		f.fault(name + ": not an email address")
		return ""
	}
	return email
}

func control(r rune) bool { return unicode.IsControl(r) }

// invisible also holds for what a pasted address may bring along, such as a
// zero-width space.
func invisible(r rune) bool {
	return unicode.IsControl(r) || unicode.IsSpace(r) || unicode.Is(unicode.Cf, r)
}
