package ledger

import (
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// search has the list hold none but those whom a text speaks of: whoever goes, or has
// ever gone, by an address that begins so, whose family or given name does, or both
// (the case is no matter), and those of whom it is an employee's id, a userId, the id of
// an event or the number of an entry. Of leavers who were erased, ids and numbers are left.
func (q *listing) search(text string) {
	id := q.arg(text)
	lower := q.arg(strings.ToLower(text))
	found := []string{
		`SELECT e.id FROM identities i JOIN entries e ON e.leaver = i.leaver WHERE i.value >= ` + lower + ` AND i.value < ` + q.arg(strings.ToLower(text)+last) +
			` AND i.kind IN ('email', 'other') AND i.origin = '' AND i.source = '' AND i.cancel = 0`,
		`SELECT e.id FROM identities i JOIN entries e ON e.leaver = i.leaver WHERE i.value = ` + id + ` AND i.kind = 'employee' AND i.cancel = 0`,
		`SELECT id FROM entries WHERE employee_id = ` + id + ` AND employee_id <> ''`,
		`SELECT entry FROM keys WHERE id = ` + id,
		`SELECT entry FROM memberships WHERE user_id IN (` + id + `, ` + lower + `)`,
		`SELECT entry FROM hold_users WHERE user_id IN (` + id + `, ` + lower + `)`,
		`SELECT entry FROM reopens WHERE user_id IN (` + id + `, ` + lower + `)`,
		q.named(`family_name`, text), q.named(`given_name`, text),
	}
	if number, err := strconv.ParseInt(strings.TrimPrefix(text, "#"), 10, 64); err == nil {
		found = append(found, `SELECT id FROM entries WHERE id = `+q.arg(number))
	}
	for _, both := range splits(text) {
		found = append(found, q.named(`family_name`, both[1])+` AND `+q.begins(`given_name`, both[0]), q.named(`family_name`, both[0])+` AND `+q.begins(`given_name`, both[1]))
	}
	q.with = `WITH hits(id) AS MATERIALIZED (` + strings.Join(found, ` UNION `) + `) `
}

// last is behind all that begins alike.
const last = string(unicode.MaxRune)

// named finds entries by the beginning of a name.
func (q *listing) named(column, text string) string {
	return `SELECT id FROM entries WHERE ` + column + ` <> '' AND ` + q.begins(column, text)
}

// begins says that a name begins with a text, in any case.
func (q *listing) begins(column, text string) string {
	var any []string
	for _, spelled := range spellings(text) {
		any = append(any, column+` COLLATE NOCASE >= `+q.arg(spelled)+` AND `+column+` COLLATE NOCASE < `+q.arg(spelled+last))
	}
	return `(` + strings.Join(any, ` OR `) + `)`
}

// spellings are how a name may be spelled that begins with a text. The database knows
// the two cases of A to Z alone; of other letters, they are in the case that was typed,
// or that names are in.
func spellings(text string) []string {
	lower := strings.ToLower(text)
	first, size := utf8.DecodeRuneInString(lower)
	all := []string{text, lower, strings.ToUpper(text), string(unicode.ToTitle(first)) + lower[size:]}
	for i, one := range all {
		all[i] = strings.Map(func(r rune) rune {
			if r <= unicode.MaxASCII {
				return unicode.ToLower(r)
			}
			return r
		}, one)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// splits are the ways in which a text may be two names, one after the other.
func splits(text string) (all [][2]string) {
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == ',' })
	for i := 1; i < min(len(words), mostNames); i++ {
		all = append(all, [2]string{strings.Join(words[:i], " "), strings.Join(words[i:], " ")})
	}
	return all
}

// mostNames is how many words of a text are tried as the end of a name.
const mostNames = 4
