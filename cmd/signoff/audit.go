package main

import (
	"context"
	"errors"
	"io"
)

// auditCommand is what can be proven from the record.
func auditCommand(ctx context.Context, args []string, out io.Writer) error {
	switch {
	case len(args) > 0 && args[0] == "report":
		return auditReport(ctx, args[1:], out)
	case len(args) > 0 && args[0] == "-h":
		return auditReport(ctx, args, out)
	}
	return usageError{errors.New("report [--since TIME] [--until TIME]")}
}
