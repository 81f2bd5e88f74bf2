package outcomes

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"strings"
)

// minSecret is the least length of a secret, in bytes, by Standard Webhooks.
const minSecret = 24

// readSecrets reads a file with a secret per line, as Standard Webhooks writes
// them; blank lines and those that begin with # do not count. Errors quote
// nothing of it.
func readSecrets(file string) ([][]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("outcomes.webhook.secret_file: %w", err)
	}
	var secrets [][]byte
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		encoded, ok := strings.CutPrefix(line, "whsec_")
		secret, err := base64.StdEncoding.DecodeString(encoded)
		if !ok || err != nil || len(secret) < minSecret {
			return nil, fmt.Errorf("outcomes.webhook.secret_file: %s: line %d: not whsec_ and base64 of at least %d bytes", file, n, minSecret)
		}
		secrets = append(secrets, secret)
	}
	if len(secrets) == 0 {
		return nil, fmt.Errorf("outcomes.webhook.secret_file: %s: no secret in it", file)
	}
	return secrets, nil
}

// sign is the header webhook-signature of Standard Webhooks, with a signature by
// each secret: while secrets are exchanged, a receiver has one of them.
func sign(secrets [][]byte, id, timestamp string, body []byte) string {
	signatures := make([]string, 0, len(secrets))
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		fmt.Fprintf(mac, "%s.%s.%s", id, timestamp, body)
		signatures = append(signatures, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(signatures, " ")
}
