package main

import (
	"bytes"
	"context"
	"flag"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// pressCommand makes the daemon keep as much as the webhook lets it, until it is told
// to stop: batches of the largest size whose last byte does not come.
func pressCommand(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("press", flag.ContinueOnError)
	webhook := flags.String("webhook", "", "`URL` of the webhook")
	token := flags.String("token", "", "`FILE` with the token that it asks for")
	if err := parse(flags, args); err != nil {
		return err
	}
	secret, err := os.ReadFile(*token)
	if err != nil {
		return err
	}
	client := &http.Client{}
	var presses sync.WaitGroup
	for range 32 {
		presses.Go(func() {
			for ctx.Err() == nil {
				press(ctx, client, *webhook, strings.TrimSpace(string(secret)))
			}
		})
	}
	presses.Wait()
	return nil
}

const largestBatch = 1 << 20 // bytes

// press sends all of a batch but its last byte. What becomes of it is all the same.
func press(ctx context.Context, client *http.Client, url, token string) {
	never, end := io.Pipe()
	ctx, stop := context.WithTimeout(ctx, 5*time.Second)
	defer stop()
	context.AfterFunc(ctx, func() { _ = end.Close() }) // the client waits for its body
	body := io.MultiReader(bytes.NewReader(bytes.Repeat([]byte(" "), largestBatch-1)), never)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return
	}
	request.ContentLength = largestBatch
	request.Header.Set("Content-Type", "application/cloudevents-batch+json")
	request.Header.Set("Authorization", "Bearer "+token)
	answer, err := client.Do(request)
	if err != nil { // nobody there at the moment
		time.Sleep(100 * time.Millisecond)
		return
	}
	_ = answer.Body.Close()
}
