package kafka

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/segmentio/kafka-go"
	"github.com/segmentio/kafka-go/protocol"
	"github.com/segmentio/kafka-go/protocol/saslauthenticate"
	"github.com/segmentio/kafka-go/protocol/saslhandshake"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// TLS says how the brokers show who they are, and how we show it to them. The
// zero value trusts whom the system trusts, and shows nothing. The files are
// PEM, and read anew for every connection.
type TLS struct {
	CAFile   string `yaml:"ca_file"`   // who may vouch for a broker; "": whom the system trusts
	CertFile string `yaml:"cert_file"` // our certificate, for brokers that ask for one
	KeyFile  string `yaml:"key_file"`  // its key
}

// SASL says how we sign in.
type SASL struct {
	Mechanism    Mechanism `yaml:"mechanism"`
	Username     string    `yaml:"username"`
	PasswordFile string    `yaml:"password_file"` // read anew for every connection; line ends after the password don't count
}

// Mechanism is a way of signing in.
type Mechanism string

// The ways of signing in.
const (
	Plain       Mechanism = "plain" // sends the password itself
	ScramSHA256 Mechanism = "scram-sha-256"
	ScramSHA512 Mechanism = "scram-sha-512"
)

func (t TLS) validate() error {
	switch {
	case t.CertFile != "" && t.KeyFile == "":
		return errors.New("kafka.tls.key_file: not set, but kafka.tls.cert_file is")
	case t.KeyFile != "" && t.CertFile == "":
		return errors.New("kafka.tls.cert_file: not set, but kafka.tls.key_file is")
	}
	return nil
}

func (s SASL) validate() error {
	known := []Mechanism{Plain, ScramSHA256, ScramSHA512}
	switch {
	case !slices.Contains(known, s.Mechanism):
		return fmt.Errorf("kafka.sasl.mechanism: %q: none of plain, scram-sha-256, scram-sha-512", string(s.Mechanism))
	case s.Username == "":
		return errors.New("kafka.sasl.username: not set")
	case s.PasswordFile == "":
		return errors.New("kafka.sasl.password_file: not set")
	}
	return nil
}

// readableOnItsWay says whether a password would cross the network as it is.
func (c Config) readableOnItsWay() bool {
	return c.TLS == nil && c.SASL != nil && c.SASL.Mechanism == Plain
}

// secure puts TLS on a connection to the broker at address, host:port.
func (t TLS) secure(ctx context.Context, conn net.Conn, address string) (net.Conn, error) {
	cfg, err := t.config()
	if err != nil {
		return nil, err
	}
	if cfg.ServerName, _, err = net.SplitHostPort(address); err != nil {
		return nil, err
	}
	over := tls.Client(conn, cfg)
	if err := over.HandshakeContext(ctx); err != nil {
		return nil, fmt.Errorf("TLS with %s: %w%s", address, err, advice(err))
	}
	return over, nil
}

// advice is what a person has to do about a broker that does not come through
// to us, "" if that can't be told.
func advice(err error) string {
	var header tls.RecordHeaderError
	var name x509.HostnameError
	var unknown x509.UnknownAuthorityError
	var op *net.OpError
	switch {
	case errors.As(err, &header):
		return ": the broker does not speak TLS at this port: leave kafka.tls out, or name another port"
	case errors.As(err, &name):
		return ": kafka.brokers must name it as its certificate does"
	case errors.As(err, &unknown):
		return ": kafka.tls.ca_file must hold who vouches for the broker"
	case errors.As(err, &op) && op.Op == "remote error": // an alert of TLS
		return ": the broker refuses us: it may want a certificate that it trusts, kafka.tls.cert_file"
	case errors.Is(err, kafka.SASLAuthenticationFailed):
		return ": the broker does not take the mechanism, username and password of kafka.sasl"
	}
	return ""
}

// config reads the files.
func (t TLS) config() (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		text, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls.ca_file: %w", err)
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("kafka.tls.ca_file: %s: no certificate in it", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls.cert_file and key_file: %w", err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}

// mechanism reads the password.
func (s SASL) mechanism() (sasl.Mechanism, error) {
	text, err := os.ReadFile(s.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("kafka.sasl.password_file: %w", err)
	}
	password := string(bytes.TrimRight(text, "\r\n"))
	if password == "" {
		return nil, fmt.Errorf("kafka.sasl.password_file: %s: empty", s.PasswordFile)
	}
	switch s.Mechanism {
	case ScramSHA256:
		return scram.Auth{User: s.Username, Pass: password}.AsSha256Mechanism(), nil
	case ScramSHA512:
		return scram.Auth{User: s.Username, Pass: password}.AsSha512Mechanism(), nil
	case Plain:
	}
	return plain.Auth{User: s.Username, Pass: password}.AsMechanism(), nil
}

// signIn signs in on a new connection to the broker at address. The library
// could as well, but has no time limit to it for the group, and the Transport
// does not say when a password is wrong.
func (s SASL) signIn(ctx context.Context, conn net.Conn, address, clientID string) error {
	mechanism, err := s.mechanism()
	if err != nil {
		return err
	}
	session, message, err := mechanism.Authenticate(ctx, address)
	if err != nil {
		return err
	}
	broker := protocol.NewConn(conn, clientID)
	broker.SetVersions(map[protocol.ApiKey]int16{protocol.SaslHandshake: 1, protocol.SaslAuthenticate: 0})
	if err = agree(broker, mechanism.Name()); err == nil {
		err = authenticate(broker, session, message)
	}
	if err != nil {
		return fmt.Errorf("sign in to %s: %w%s", address, err, advice(err))
	}
	return nil
}

// agree tells the broker how we are going to sign in.
func agree(broker *protocol.Conn, mechanism string) error {
	m, err := broker.RoundTrip(&saslhandshake.Request{Mechanism: mechanism})
	if err != nil {
		return err
	}
	res := m.(*saslhandshake.Response)
	switch code := kafka.Error(res.ErrorCode); code {
	case 0:
		return nil
	case kafka.UnsupportedSASLMechanism:
		return fmt.Errorf("kafka.sasl.mechanism: the broker does not take %s, only %s", mechanism, strings.Join(res.Mechanisms, ", "))
	default:
		return code
	}
}

// authenticate exchanges messages until both sides are satisfied.
func authenticate(broker *protocol.Conn, session sasl.Session, message []byte) error {
	for done := false; !done; {
		m, err := broker.RoundTrip(&saslauthenticate.Request{AuthBytes: message})
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) { // how some brokers refuse
			return fmt.Errorf("%w: the broker closed the connection", kafka.SASLAuthenticationFailed)
		} else if err != nil {
			return err
		}
		res := m.(*saslauthenticate.Response)
		if res.ErrorCode != 0 { // not what the broker says besides, which may quote the user
			return kafka.Error(res.ErrorCode)
		}
		if done, message, err = session.Challenge(res.AuthBytes); err != nil {
			return err
		}
	}
	return nil
}
