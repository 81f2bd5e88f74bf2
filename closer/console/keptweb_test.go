package console

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// A file is taken when it was the same twice, or refused for good reason.
func TestWhenAWebConfigIsTaken(t *testing.T) {
	const user, two = "basic_auth_users: {ann: " + aHash + "}", "basic_auth_users: {ann: " + aHash + ", ben: " + aHash + "}"
	for name, c := range map[string]struct {
		versions []string // one before each look; "-": the file is away
		users    int      // in force in the end
		refused  string
	}{
		"nothing changes":                          {[]string{user, user, user}, 1, ""},
		"a new one, seen once":                     {[]string{two}, 1, ""},
		"a new one, seen twice":                    {[]string{two, two}, 2, ""},
		"one that is being written":                {[]string{"basic_auth_users: {}", "basic_auth_users: {ann: x}", two, two}, 2, ""},
		"a bad one":                                {[]string{"basic_auth_users: {ann: x}", "basic_auth_users: {ann: x}"}, 1, "not a password's hash"},
		"a bad one, then a good":                   {[]string{"a:", "a:", two, two}, 2, ""},
		"a bad one, then the old":                  {[]string{"a:", "a:", user, user}, 1, ""},
		"none any more":                            {[]string{"-", "-"}, 1, "no such file"},
		"TLS that begins":                          {[]string{"tls_server_config: {cert_file: none, key_file: none}", "tls_server_config: {cert_file: none, key_file: none}"}, 1, "no such file"},
		"nobody, with metrics closed to strangers": {[]string{"basic_auth_users: {}", "basic_auth_users: {}"}, 1, "admin.open_metrics: false"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "web.yml")
			write := func(text string) {
				t.Helper()
				err := os.WriteFile(file, []byte(text), 0o600)
				if text == "-" {
					err = os.Remove(file)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			write(user)
			k, err := keepWeb(Config{WebConfigFile: file, OpenMetrics: new(false)}, zap.NewNop())
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range c.versions {
				write(text)
				k.look()
			}
			if n := len(k.now().config.Users); n != c.users {
				t.Errorf("%d users, want %d", n, c.users)
			}
			if fault := k.fault(); (fault == nil) != (c.refused == "") || fault != nil && !strings.Contains(fault.Error(), c.refused) {
				t.Errorf("%v, want %q", fault, c.refused)
			}
		})
	}
}

// What is written while the file is read is taken over.
func TestAWebConfigThatChangesAsItIsRead(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yml")
	write := func(users string) {
		t.Helper()
		if err := os.WriteFile(file, []byte("basic_auth_users: {"+users+"}"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ann: " + aHash)
	k, err := keepWeb(Config{WebConfigFile: file}, zap.NewNop())
	if err != nil {
		t.Fatal(err)
	}
	write("ann: " + aHash + ", ben: " + aHash)
	k.look()
	k.fits = func(*webFile) error { write("ben: " + aHash); return nil } // after it was read
	k.look()
	k.fits = func(*webFile) error { return nil }
	k.look()
	k.look()
	if users := k.now().config.Users; len(users) != 1 || users["ben"] == "" {
		t.Errorf("in force are %d users, want ben alone", len(users))
	}
}

const aHash = "$2a$04$abcdefghijklmnopqrstuuIEpSTsOPVlFJDA1lRo0wpq1wGGkOsTa"
