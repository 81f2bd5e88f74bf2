package main

import (
	"context"
	"errors"
	"io"
)

// auditCommand is what can be proven from the record.
func auditCommand(ctx context.Context, args []string, out io.Writer) error {
	if len(args) == 0 || args[0] != "report" {
		return usageError{errors.New("report --since TIME [--until TIME]")}
	}
	return auditReport(ctx, args[1:], out)
}
