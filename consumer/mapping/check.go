package mapping

import (
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
)

// keyValidator finds keys that no event has, wherever the expression writes the
// maps of its result down.
type keyValidator struct{}

func (keyValidator) Name() string { return "signoff.keys" }

func (keyValidator) Validate(_ *cel.Env, _ cel.ValidatorConfig, checked *ast.AST, issues *cel.Issues) {
	checkResult(checked.Expr(), issues)
}

// checkResult goes through an expression whose value may be the result or a part
// of it; what it does not know is looked at when it runs.
func checkResult(e ast.Expr, issues *cel.Issues) {
	switch e.Kind() {
	case ast.ListKind:
		for _, item := range e.AsList().Elements() {
			checkItem(item, issues)
		}
	case ast.CallKind:
		for _, part := range alternatives(e, operators.Add) {
			checkResult(part, issues)
		}
	case ast.ComprehensionKind: // map and filter add lists in their step; cel.bind has the rest as its result
		checkResult(e.AsComprehension().LoopStep(), issues)
		checkResult(e.AsComprehension().Result(), issues)
	}
}

// alternatives are what an expression is made of, or one of which it will be.
func alternatives(e ast.Expr, also ...string) []ast.Expr {
	call := e.AsCall()
	switch name := call.FunctionName(); {
	case name == operators.Conditional:
		return call.Args()[1:]
	case slices.Contains(also, name):
		return call.Args()
	}
	return nil
}

func checkItem(e ast.Expr, issues *cel.Issues) {
	switch e.Kind() {
	case ast.CallKind:
		for _, part := range alternatives(e) {
			checkItem(part, issues)
		}
	case ast.ComprehensionKind:
		checkItem(e.AsComprehension().Result(), issues)
	case ast.MapKind:
		for _, entry := range e.AsMap().Entries() {
			checkEntry(entry.AsMapEntry(), issues)
		}
	}
}

func checkEntry(entry ast.MapEntry, issues *cel.Issues) {
	name, ok := literal(entry.Key())
	if !ok {
		if entry.Key().Kind() == ast.LiteralKind {
			issues.ReportErrorAtID(entry.Key().ID(), "a key that is not text")
		}
		return
	}
	if !slices.Contains(keys, name) {
		issues.ReportErrorAtID(entry.Key().ID(), "%s", unknownKey(name))
		return
	}
	if kind, ok := literal(entry.Value()); ok && name == keyType && kind != "" {
		if _, ok := kinds[kind]; !ok {
			issues.ReportErrorAtID(entry.Value().ID(), "%s", unknownType)
		}
	}
}

func unknownKey(name string) string {
	return fmt.Sprintf("%q: no event has this key; there are: %s", name, strings.Join(keys, ", "))
}

func literal(e ast.Expr) (string, bool) {
	if e.Kind() != ast.LiteralKind {
		return "", false
	}
	text, ok := e.AsLiteral().(types.String)
	return string(text), ok
}

// patternValidator wants regular expressions written down, and small: one of the
// payload's could be of any size.
type patternValidator struct{}

func (patternValidator) Name() string { return "signoff.patterns" }

func (patternValidator) Validate(_ *cel.Env, _ cel.ValidatorConfig, checked *ast.AST, issues *cel.Issues) {
	for _, e := range ast.MatchDescendants(ast.NavigateAST(checked), ast.FunctionMatcher("matches")) {
		pattern := e.AsCall().Args()[0]
		text, ok := literal(pattern)
		if !ok {
			issues.ReportErrorAtID(pattern.ID(), "matches: the regular expression must be a literal")
			continue
		}
		parsed, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			issues.ReportErrorAtID(pattern.ID(), "matches: %v", err)
			continue
		}
		program, err := syntax.Compile(parsed.Simplify())
		if err != nil || len(program.Inst) > maxRegexp {
			issues.ReportErrorAtID(pattern.ID(), "matches: too large a regular expression")
		}
	}
}
