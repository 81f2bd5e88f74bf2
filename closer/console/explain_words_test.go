package console

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"signoff/closer/ledger"
)

// byVariable are the actions that the ledger's source names by a variable, with the
// file and how it is written there.
var byVariable = map[string][]string{
	"decide.go action":                 {"approved_ahead", "refused_ahead"},
	"decide.go h.State":                {"approved", "rejected"},
	`decide.go "hold_" + state`:        {"hold_approved", "hold_rejected"},
	"plan.go outcome":                  {"closed", "already_closed", "not_found"},
	"settle.go outcome":                {"closed", "failed", "cancelled"},
	`reject.go "reject_" + state`:      {"reject_replayed", "reject_discarded"},
	`reopen.go "reopen_" + state`:      {"reopen_approved", "reopen_dropped"},
	`reopening.go "reopen_" + step`:    {}, // what auditReopen is called with
	"reopening.go reopen_ outcome":     {"reopen_sent", "reopen_failed", "reopen_dropped"},
	"byhand.go action":                 {},                     // what auditByHand is called with
	"word.go action":                   {"confirmed", "moved"}, // and what auditEvent is called with
	"cancel.go c.kind":                 {"rescinded", "rehired"},
	"cancel.go consumer.MayNotRescind": {"may_not_rescind"},
}

// TestEveryActionHasWords walks the ledger's source for what it puts on record.
func TestEveryActionHasWords(t *testing.T) {
	actions := make(map[string]bool)
	for _, file := range sources(t) {
		consts := constants(t, file.all)
		ast.Inspect(file.tree, func(n ast.Node) bool {
			named, prefix := actionOf(n)
			if named == nil {
				return true
			}
			for _, action := range resolve(t, file.name, prefix, named, consts) {
				actions[action] = true
			}
			return true
		})
	}
	if len(actions) < 40 {
		t.Fatalf("only %d actions were found: does the ledger still write them as it did?", len(actions))
	}
	for action := range actions {
		if wordsOf[action] == nil {
			t.Errorf("%s: explain has no words for it", action)
		}
	}
}

// actionOf is what names the action, where something is put on record.
func actionOf(n ast.Node) (named ast.Expr, prefix string) {
	switch n := n.(type) {
	case *ast.CompositeLit:
		if id, ok := n.Type.(*ast.Ident); !ok || id.Name != "row" {
			return nil, ""
		}
		for _, e := range n.Elts {
			if kv, ok := e.(*ast.KeyValueExpr); ok && fmt.Sprint(kv.Key) == "action" {
				return kv.Value, ""
			}
		}
	case *ast.CallExpr:
		f, ok := n.Fun.(*ast.SelectorExpr)
		if !ok {
			return nil, ""
		}
		switch f.Sel.Name {
		case "auditEvent", "auditByHand":
			return n.Args[0], ""
		case "auditReopen":
			return n.Args[1], "reopen_"
		}
	}
	return nil, ""
}

// resolve is what an expression may be.
func resolve(t *testing.T, file, prefix string, named ast.Expr, consts map[string]string) []string {
	if c, ok := named.(*ast.CallExpr); ok && fmt.Sprint(c.Fun) == "string" {
		if value, ok := consts[fmt.Sprint(c.Args[0])]; ok {
			return []string{prefix + value}
		}
	}
	switch e := named.(type) {
	case *ast.BasicLit:
		value, err := strconv.Unquote(e.Value)
		if err != nil {
			t.Fatal(err)
		}
		return []string{prefix + value}
	case *ast.Ident:
		if value, ok := consts[e.Name]; ok {
			return []string{prefix + value}
		}
	}
	key := file + " " + asWritten(named)
	if prefix != "" {
		key = file + " " + prefix + " " + asWritten(named)
	}
	known, ok := byVariable[key]
	if !ok {
		t.Errorf("%s: an action that this test cannot name: say in byVariable which it may be, and give it words", key)
	}
	return known
}

// asWritten is an expression as it is written, without conversions to string.
func asWritten(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BinaryExpr:
		return asWritten(e.X) + " + " + asWritten(e.Y)
	case *ast.CallExpr:
		return asWritten(e.Args[0])
	case *ast.SelectorExpr:
		return asWritten(e.X) + "." + e.Sel.Name
	case *ast.BasicLit:
		return e.Value
	}
	return fmt.Sprint(e)
}

type source struct {
	name string
	tree *ast.File
	all  []*ast.File
}

// sources are the files of the ledger but for its tests.
func sources(t *testing.T) []source {
	t.Helper()
	paths, err := filepath.Glob("../ledger/*.go")
	if err != nil || len(paths) == 0 {
		t.Fatal(err)
	}
	var all []source
	var trees []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		tree, err := parser.ParseFile(token.NewFileSet(), path, text, 0)
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, tree)
		all = append(all, source{name: filepath.Base(path), tree: tree})
	}
	for i := range all {
		all[i].all = trees
	}
	return all
}

// constants are the values of the texts that have a name.
func constants(t *testing.T, files []*ast.File) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, file := range files {
		for _, decl := range file.Decls {
			group, ok := decl.(*ast.GenDecl)
			if !ok || group.Tok != token.CONST {
				continue
			}
			for _, spec := range group.Specs {
				v, ok := spec.(*ast.ValueSpec)
				if !ok || len(v.Values) != len(v.Names) {
					continue
				}
				for i, name := range v.Names {
					if lit, ok := v.Values[i].(*ast.BasicLit); ok && lit.Kind == token.STRING {
						value, err := strconv.Unquote(lit.Value)
						if err != nil {
							t.Fatal(err)
						}
						all[name.Name] = value
					}
				}
			}
		}
	}
	return all
}

func TestEveryKindHasWords(t *testing.T) {
	for _, k := range ledger.Kinds() {
		if kindsInWords[k] == "" {
			t.Errorf("%s: explain has no words for it", k)
		}
	}
}

func TestAnUnknownActionIsToldByItsName(t *testing.T) {
	if got := (narrator{}).words(ledger.StoryLeaving{}, ledger.Step{Action: "of_a_later_signoff"}, storyFacts{}); got != "of_a_later_signoff" {
		t.Errorf("got %q", got)
	}
}
