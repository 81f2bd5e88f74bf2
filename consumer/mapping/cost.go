package mapping

import (
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// sizeCost charges each call for what it goes through and makes. CEL does so too,
// but only where it knows the types when it compiles, and of a payload it knows
// none.
type sizeCost struct{}

// CallCost leaves to CEL what takes the same time whatever the size.
func (sizeCost) CallCost(function, _ string, args []ref.Val, result ref.Val) *uint64 {
	switch function {
	case operators.Index, operators.OptIndex, operators.OptSelect, operators.Conditional,
		operators.LogicalAnd, operators.LogicalOr, operators.LogicalNot, operators.NotStrictlyFalse:
		return nil
	}
	bytes := length(result)
	for _, arg := range args {
		bytes += length(arg)
	}
	cost := 1 + bytes/10
	switch function {
	case operators.Equals, operators.NotEquals, operators.In, operators.OldIn:
		cost += items(args[0]) + items(args[1])
	case "split":
		cost += 4 * items(result) // a small object each
	case "matches":
		cost += bytes / 2 // many steps for each
	case "parseTime":
		cost += 150 // a zone is read each time
	}
	return &cost
}

func length(v ref.Val) uint64 {
	switch v := v.(type) {
	case types.String:
		return uint64(len(v))
	case types.Bytes:
		return uint64(len(v))
	}
	return 0
}

func items(v ref.Val) uint64 {
	if sizer, ok := v.(traits.Sizer); ok && v.Type() != types.StringType && v.Type() != types.BytesType {
		if n, ok := sizer.Size().(types.Int); ok {
			return uint64(n)
		}
	}
	return 0
}
