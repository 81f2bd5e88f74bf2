package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"time"

	"go.uber.org/zap"

	"signoff/consumer"
)

// TLS says how the server shows who it is, and who may connect. The files are
// PEM, and read again when they change.
type TLS struct {
	CertFile     string `yaml:"cert_file"` // with the certificates that lead to the root, if any
	KeyFile      string `yaml:"key_file"`
	ClientCAFile string `yaml:"client_ca_file"` // who vouches for senders; "": they show no certificate
}

func (t TLS) validate() error {
	switch {
	case t.CertFile == "":
		return errors.New("webhook.tls.cert_file: not set")
	case t.KeyFile == "":
		return errors.New("webhook.tls.key_file: not set")
	}
	return nil
}

// config returns the TLS of a server. It has each new connection made with the
// files as they are then; those that are open stay as they are.
func (t TLS) config(log *zap.Logger) (*tls.Config, error) {
	files := []string{t.CertFile, t.KeyFile}
	if t.ClientCAFile != "" {
		files = append(files, t.ClientCAFile)
	}
	current, err := consumer.Keep("webhook.tls", log, func() (*tls.Config, error) { return t.read(log) }, files...)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return current.Get(), nil },
	}, nil
}

func (t TLS) read(log *zap.Logger) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("webhook.tls.cert_file and key_file: %w", err)
	}
	cfg := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"h2", "http/1.1"},
	}
	if t.ClientCAFile != "" {
		text, err := os.ReadFile(t.ClientCAFile)
		if err != nil {
			return nil, fmt.Errorf("webhook.tls.client_ca_file: %w", err)
		}
		cfg.ClientCAs = x509.NewCertPool()
		if !cfg.ClientCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("webhook.tls.client_ca_file: %s: no certificate in it", t.ClientCAFile)
		}
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
		cfg.SessionTicketsDisabled = true // or whoever is no longer vouched for could go on where they were
	}
	if until := pair.Leaf.NotAfter; time.Now().After(until) {
		log.Error("the certificate of the webhook has expired: senders will refuse it", zap.Time("expired", until))
	}
	return cfg, nil
}
