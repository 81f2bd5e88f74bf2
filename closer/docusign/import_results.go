package docusign

import (
	"bytes"
	"encoding/csv"
	"slices"
	"strings"
	"unicode"
)

// RowResult is what an import's results say of one user.
type RowResult struct {
	AccountID string // in lower case, as UserID
	UserID    string
	Closed    bool
	Code      string // why not, one of Docusign's error types; "" and not Closed: not clear, look the user up
}

// readRows reads the results of an import: the file as it was sent, in whatever
// dialect and order, with the column ProcessingResults. Of what that says, next
// to nothing is documented, so rows that are not clear about their user are
// common; a row that names none is left out. ok is false if it is no such file.
func readRows(text []byte) (rows []RowResult, ok bool) {
	r := csv.NewReader(bytes.NewReader(text))
	line, _, _ := bytes.Cut(text, []byte("\n"))
	if bytes.Count(line, []byte(";")) > bytes.Count(line, []byte(",")) {
		r.Comma = ';'
	}
	r.LazyQuotes, r.FieldsPerRecord = true, -1
	records, err := r.ReadAll()
	if err != nil || len(records) == 0 {
		return nil, false
	}
	names := make([]string, len(records[0]))
	for i, name := range records[0] {
		names[i] = strings.Join(wordsOf(name), "") // without a byte order mark
	}
	account, user := slices.Index(names, "accountid"), slices.Index(names, "apiusername")
	said := slices.Index(names, "processingresults")
	if said < 0 {
		return nil, false
	}
	if account < 0 || user < 0 { // a profile without them: it says nothing of anybody
		return nil, true
	}
	at := make(map[[2]string]int) // index of rows, by account and user
	for _, record := range records[1:] {
		if max(account, user) >= len(record) || !isGUID(record[account]) || !isGUID(record[user]) {
			continue
		}
		row := RowResult{AccountID: guid(record[account]), UserID: guid(record[user])}
		if whole(record, len(names)) {
			row.Closed, row.Code = outcomeOf(record[said])
		}
		key := [2]string{row.AccountID, row.UserID}
		switch i, twice := at[key]; {
		case !twice:
			at[key] = len(rows)
			rows = append(rows, row)
		case rows[i] != row:
			rows[i].Closed, rows[i].Code = false, ""
		}
	}
	return rows, true
}

// whole reports whether a record is one row of the file: one that a stray quote
// or separator has torn or run together would tell of one user what happened to
// another.
func whole(record []string, fields int) bool {
	return len(record) == fields && !slices.ContainsFunc(record, func(s string) bool { return strings.ContainsAny(s, "\r\n") })
}

func guid(text string) string { return strings.ToLower(strings.TrimSpace(text)) }

func isGUID(text string) bool {
	text = guid(text)
	for i, r := range text {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hyphen != (r == '-') || !hyphen && !unicode.Is(unicode.ASCII_Hex_Digit, r) {
			return false
		}
	}
	return len(text) == 36
}

// rowRefusals are the error types with which a user was not closed, out of
// those that Docusign lists for all imports together (Admin API,
// OrganizationImportResponseErrorRollup).
var rowRefusals = []string{
	"cannot_close_last_active_admin", "cannot_close_own_membership", "membership_not_in_account", "account_admin_access_denied",
	"user_awaiting_activation", "invalid_apiusername", "invalid_useremail_address", "invalid_account_id", "invalid_membership_id",
	"invalid_row_data", "insufficient_row_data_found", "extra_row_data_found", "invalid_csv_data_or_syntax", "maximum_users_exceeded",
	"blank_username", "invalid_characters_in_username", "invalid_permissionset", "permissionset_required",
	"column_headers_missing", "invalid_column_header", "apiusername_column_header_missing", "useremail_column_header_missing",
	"username_column_header_missing", "permissionset_column_header_missing", "unspecified_error",
}

// notClear are error types whose words could be taken for success: a
// membership that was closed before, or is by another's word only.
var notClear = []string{"membership_closed", "membership_closed_or_disabled_warning", "no_action_taken"}

// successWords are those that say it, and fillWords may stand beside them.
var (
	successWords = []string{"closed", "success", "successful", "successfully", "succeeded"}
	fillWords    = []string{"the", "user", "account", "membership", "was", "has", "have", "been", "is", "and", "completed", "processed"}
)

// outcomeOf reads what ProcessingResults says of one user. Closed means closed
// in so many words: a single word that we don't expect, such as a "not", makes
// it unclear.
func outcomeOf(text string) (closed bool, code string) {
	words := wordsOf(text)
	line := "_" + strings.Join(words, "_") + "_"
	says := func(errorType string) bool { return strings.Contains(line, "_"+errorType+"_") }
	if slices.ContainsFunc(notClear, says) {
		return false, ""
	}
	if i := slices.IndexFunc(rowRefusals, says); i >= 0 {
		return false, rowRefusals[i]
	}
	for _, w := range words {
		switch {
		case slices.Contains(successWords, w):
			closed = true
		case !slices.Contains(fillWords, w):
			return false, ""
		}
	}
	return closed, ""
}

// wordsOf are the words of text in lower case, whatever stands between them.
func wordsOf(text string) []string {
	return strings.FieldsFunc(strings.ToLower(text), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
}
