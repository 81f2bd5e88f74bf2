package mapping

import (
	"sync"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/env"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/ext"
)

// What an expression may use up for one payload. Cost is CEL's own: about one for
// each step, and one for ten bytes of text that are made or gone through. It is
// counted after a step, so each function must be bounded by itself; the time is
// for steps that cost more than CEL thinks.
const (
	evalCost  = 500_000
	evalTime  = time.Second
	evalCheck = 10 // steps of loops between looks at the time

	maxProgram = 16 << 10 // characters of an expression
	maxNesting = 64
	maxRegexp  = 1000 // instructions
)

// environment is what every expression finds: the standard library but for
// matches, optional values, cel.bind, and our own functions. The extension
// libraries of CEL are left out, since a payload can make them build gigabytes in
// a single call.
var environment = sync.OnceValues(func() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.StdLib(cel.StdLibSubset(&env.LibrarySubset{ExcludeFunctions: []*env.Function{{Name: "matches"}}})),
		cel.CustomTypeAdapter(adapter{types.DefaultTypeAdapter}),
		cel.Variable("body", cel.DynType),
		cel.OptionalTypes(),
		ext.Bindings(),
		cel.CrossTypeNumericComparisons(true),
		cel.DefaultUTCTimeZone(true),
		cel.EnableIdentifierEscapeSyntax(),
		cel.ParserExpressionSizeLimit(maxProgram),
		cel.ParserRecursionLimit(maxNesting),
		cel.ASTValidators(cel.ValidateTimestampLiterals(), cel.ValidateDurationLiterals(), keyValidator{}, patternValidator{}),
	}
	return cel.NewCustomEnv(append(options, functions()...)...)
})

// programOptions are without cel.OptOptimize, which would put CEL's own matches in
// the place of ours.
func programOptions() []cel.ProgramOption {
	return []cel.ProgramOption{
		cel.CostLimit(evalCost),
		cel.CostTracking(sizeCost{}),
		cel.InterruptCheckFrequency(evalCheck),
	}
}
