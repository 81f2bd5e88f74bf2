package main

import (
	"context"
	"encoding/json"
	"flag"
	"os"
)

// companyCommand prints the config of `signoff simulate`: an account with those
// who leave, and two administrators who stay, one of them signoff itself.
func companyCommand(_ context.Context, args []string) error {
	flags := flag.NewFlagSet("company", flag.ContinueOnError)
	count := flags.Int("count", 0, "`number` of leavers")
	url := flags.String("url", "", "`URL` that Docusign is reached at")
	key := flags.String("public-key", "", "`FILE` with the key that assertions are signed with")
	account := flags.String("account", "", "`id` of the account")
	user := flags.String("user", "", "userId of signoff")
	if err := parse(flags, args); err != nil {
		return err
	}
	type person struct {
		ID            string `json:"id"`
		Email         string `json:"email"`
		Administrator bool   `json:"administrator"`
		Created       string `json:"created"`
	}
	const created = "2020-01-01T00:00:00Z"
	people := []person{
		{*user, "signoff@example.com", true, created},
		{"1ea4e000-0000-4000-8000-ffffffffffff", "it@example.com", true, created},
	}
	for n := range *count {
		people = append(people, person{userID(n + 1), email(n + 1), false, created})
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{ // which is YAML as well
		"user_id":         *user,
		"public_key_file": *key,
		"base_uri":        *url,
		"hour_limit":      1_000_000,
		"burst_limit":     1_000_000,
		"accounts":        []any{map[string]any{"id": *account, "name": "Node", "users": people}},
	})
}
