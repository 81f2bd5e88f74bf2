package mapping

import (
	"errors"
	"fmt"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/interpreter"
)

// fault says why an expression stopped at a payload, and where. CEL's own words
// are taken only where they cannot quote the payload.
func (m *Mapping) fault(err error) error {
	var cancelled interpreter.EvalCancelledError
	var at *types.Err
	switch {
	case errors.As(err, &cancelled):
		return failed("the payload is too large for this mapping: more than %d steps", evalCost)
	case errors.Is(err, interpreter.InterruptError{}):
		return failed("the payload is too large for this mapping: more than %v", evalTime)
	case !errors.As(err, &at):
		return failed("the expression failed")
	}
	where := ""
	// This one is shared by all that run: its place may be another's.
	if at != types.NoSuchOverloadErr() {
		where = m.place(at.NodeID())
	}
	return failed("%s%s", where, m.reason(at))
}

func (m *Mapping) place(id int64) string {
	if id == 0 {
		return ""
	}
	at := m.ast.SourceInfo().GetStartLocation(id)
	if at.Line() < 1 {
		return ""
	}
	return fmt.Sprintf("line %d, column %d: ", at.Line(), at.Column()+1)
}

func (m *Mapping) reason(err *types.Err) string {
	var own refusal
	if errors.As(err, &own) {
		return own.Error()
	}
	said := err.Error()
	if name, ok := strings.CutPrefix(said, "no such key: "); ok {
		if m.words[name] {
			return said
		}
		return "no such key"
	}
	for _, known := range []string{
		"no such overload", "index out of bounds", "division by zero", "modulus by zero", "integer overflow",
		"unsigned integer overflow", "duration overflow", "timestamp overflow", "optional.none() dereference",
	} {
		if strings.HasPrefix(said, known) {
			return known
		}
	}
	return "a value that this cannot be done with"
}

// wordsOf are the names of fields and the texts that an expression has.
func wordsOf(a *ast.AST) map[string]bool {
	words := make(map[string]bool)
	for _, e := range ast.MatchDescendants(ast.NavigateAST(a), ast.AllMatcher()) {
		switch e.Kind() {
		case ast.SelectKind:
			words[e.AsSelect().FieldName()] = true
		case ast.LiteralKind:
			if text, ok := literal(e); ok {
				words[text] = true
			}
		}
	}
	return words
}
