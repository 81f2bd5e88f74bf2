package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"

	"go.uber.org/zap"

	"signoff/consumer"
)

type auditConfig struct {
	SigningKeyFile string `yaml:"signing_key_file"` // Ed25519, PKCS #8, PEM; "": heads and exports are not signed
}

// signer signs by Ed25519.
type signer func(text []byte) []byte

// signer reads the key, and again when its file changes; nil without one.
func (c auditConfig) signer(log *zap.Logger) (signer, error) {
	if c.SigningKeyFile == "" {
		return nil, nil
	}
	key, err := consumer.Keep("audit signing key", log, c.key, c.SigningKeyFile)
	if err != nil {
		return nil, err
	}
	return func(text []byte) []byte { return ed25519.Sign(key.Get(), text) }, nil
}

func (c auditConfig) key() (ed25519.PrivateKey, error) {
	if c.SigningKeyFile == "" {
		return nil, nil
	}
	block, err := readPEM(c.SigningKeyFile)
	if err != nil {
		return nil, fmt.Errorf("audit.signing_key_file: %w", err)
	}
	if block != nil {
		if parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes); err == nil {
			if key, ok := parsed.(ed25519.PrivateKey); ok {
				return key, nil
			}
		}
	}
	return nil, fmt.Errorf("audit.signing_key_file: %s: not an Ed25519 key such as `openssl genpkey -algorithm ed25519` makes", c.SigningKeyFile)
}

// readPublicKey reads the key by which signatures are checked; nil for no file.
func readPublicKey(file string) (ed25519.PublicKey, error) {
	if file == "" {
		return nil, nil
	}
	block, err := readPEM(file)
	if err != nil {
		return nil, usageError{fmt.Errorf("--public-key: %w", err)}
	}
	if block != nil {
		if parsed, err := x509.ParsePKIXPublicKey(block.Bytes); err == nil {
			if key, ok := parsed.(ed25519.PublicKey); ok {
				return key, nil
			}
		}
	}
	return nil, usageError{fmt.Errorf("--public-key: %s: not an Ed25519 public key such as `openssl pkey -in KEY -pubout` makes", file)}
}

// readPEM returns the first block of a file; nil if there is none.
func readPEM(file string) (*pem.Block, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > 64<<10 {
		return nil, errors.New(file + ": too large for a key")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	return block, nil
}

// checkSigning reads the key that signs heads and exports.
func checkSigning(_ context.Context, cfg config) (string, error) {
	key, err := cfg.Audit.key()
	if err != nil {
		return "", err
	}
	if key == nil {
		return "heads and exports are not signed", nil
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("heads and exports are signed, SHA-256 of the public key %x", sha256.Sum256(public)), nil
}
