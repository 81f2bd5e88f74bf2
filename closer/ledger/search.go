package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// mostHits is how many entries a text may find so that they are listed: of those that find
// more, entries are looked through in the order of the list until a page is full.
const mostHits = 8000

// found are those whom a text speaks of: whoever goes, or has ever gone, by an address that
// begins so, whose family or given name does, or both (the case is no matter), and those
// of whom it is an employee's id, a userId, the id of an event or the number of an entry. Of
// leavers who were erased, ids and numbers are left.
type found struct {
	text  string
	ids   string // of entries, a JSON list
	broad bool   // they are too many
}

// search finds those whom a text speaks of.
func (l *Ledger) search(ctx context.Context, text string) (f found, err error) {
	f.text = text
	q := &listing{}
	ways := []string{
		`SELECT e.id FROM identities i JOIN entries e ON e.leaver = i.leaver WHERE ` + q.goesBy(text),
		`SELECT e.id FROM identities i JOIN entries e ON e.leaver = i.leaver WHERE i.kind = 'employee' AND i.cancel = 0 AND i.value = ` + q.arg(text),
	}
	for _, exact := range exactly {
		ways = append(ways, fmt.Sprintf(`SELECT %s FROM %s WHERE %s IN (%s, %s)`, exact.entry, exact.table, exact.column, q.arg(text), q.arg(strings.ToLower(text))))
	}
	if number, ok := entryNumber(text); ok {
		ways = append(ways, `SELECT id FROM entries WHERE id = `+q.arg(number))
	}
	for _, spelled := range spellings(text) {
		ways = append(ways, `SELECT id FROM entries WHERE `+q.begins(`family_name`, spelled), `SELECT id FROM entries WHERE `+q.begins(`given_name`, spelled))
	}
	for _, both := range splits(text) {
		for _, names := range [][2]string{both, {both[1], both[0]}} {
			for _, spelled := range spellings(names[1]) {
				ways = append(ways, `SELECT id FROM entries WHERE `+q.begins(`family_name`, spelled)+` AND `+q.beginsAny(`given_name`, names[0]))
			}
		}
	}
	hits := 0
	err = l.read.DB.QueryRowContext(ctx, `SELECT json_group_array(DISTINCT id), COUNT(*) FROM (SELECT id FROM (`+strings.Join(ways, ` UNION ALL `)+`) LIMIT `+q.arg(mostHits+1)+`)`,
		q.args...).Scan(&f.ids, &hits)
	f.broad = hits > mostHits
	return f, err
}

// exactly are the columns that have an id as a whole.
var exactly = []struct{ entry, table, column string }{
	{"id", "entries", "employee_id <> '' AND employee_id"}, {"entry", "keys", "id"}, {"entry", "memberships", "user_id"}, {"entry", "hold_users", "user_id"},
	{"entry", "reopens", "user_id"},
}

// speaksOf says of an entry that a text speaks of it, where it does of many: by what a
// text is the beginning of.
func (q *listing) speaksOf(text string) {
	ways := []string{`EXISTS (SELECT 1 FROM identities i WHERE i.leaver = e.leaver AND ` + q.goesBy(text) + `)`, q.beginsAny(`e.family_name`, text), q.beginsAny(`e.given_name`, text)}
	for _, both := range splits(text) {
		for _, names := range [][2]string{both, {both[1], both[0]}} {
			ways = append(ways, `(`+q.beginsAny(`e.family_name`, names[1])+` AND `+q.beginsAny(`e.given_name`, names[0])+`)`)
		}
	}
	q.where = append(q.where, `(`+strings.Join(ways, ` OR `)+`)`)
}

// goesBy says of a row of identities that it is an address which begins with a text.
func (q *listing) goesBy(text string) string {
	lower := strings.ToLower(text)
	return `i.value >= ` + q.arg(lower) + ` AND i.value < ` + q.arg(lower+behind) + ` AND i.kind IN ('email', 'other') AND i.origin = '' AND i.source = '' AND i.cancel = 0`
}

// behind is behind all that begins alike.
const behind = string(unicode.MaxRune)

// begins says that a name begins with a text, in any case of A to Z.
func (q *listing) begins(column, text string) string {
	return fmt.Sprintf(`%[1]s <> '' AND %[1]s COLLATE NOCASE >= %[2]s AND %[1]s COLLATE NOCASE < %[3]s`, column, q.arg(text), q.arg(text+behind))
}

func (q *listing) beginsAny(column, text string) string {
	var ways []string
	for _, spelled := range spellings(text) {
		ways = append(ways, q.begins(column, spelled))
	}
	return `(` + strings.Join(ways, ` OR `) + `)`
}

// spellings are how a name may be spelled that begins with a text. The database knows
// the two cases of A to Z alone; other letters are in the case that was typed, or that
// names are in.
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

// mostNames is how many words of a text are tried as one name and another.
const mostNames = 4

// splits are the ways in which a text may be two names, one after the other.
func splits(text string) (all [][2]string) {
	words := strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || r == ',' })
	for i := 1; i < min(len(words), mostNames); i++ {
		all = append(all, [2]string{strings.Join(words[:i], " "), strings.Join(words[i:], " ")})
	}
	return all
}

// entryNumber is the number of an entry, as people write one.
func entryNumber(text string) (int64, bool) {
	number, err := strconv.ParseInt(strings.TrimPrefix(text, "#"), 10, 64)
	return number, err == nil
}
