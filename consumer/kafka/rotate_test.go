package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"

	"signoff/consumer"
)

// newSigningIn is a broker that asks for a password. Without one, the test skips.
func newSigningIn(t *testing.T) *cluster {
	t.Helper()
	if os.Getenv(realBroker) == "" {
		return newSecured(t, Config{SASL: signingIn(t, ScramSHA512, password)}, nil)
	}
	c := newCluster(t, 1)
	if c.cfg.SASL == nil {
		t.Skip("the broker asks for no password")
	}
	return c
}

func TestReadsByEveryMechanism(t *testing.T) {
	for _, mechanism := range []Mechanism{Plain, ScramSHA256, ScramSHA512} {
		t.Run(string(mechanism), func(t *testing.T) {
			c := newSigningIn(t)
			if c.fake != nil {
				t.Skip("kfake is asked elsewhere")
			}
			produce(t, newProducer(t, c), leavers(0, "a", 5)...)
			sasl := *c.cfg.SASL
			sasl.Mechanism = mechanism
			c.cfg.SASL = &sasl
			m := newMemory()
			start(t, c, m, setup{})
			awaitEvents(t, m, 5)
			awaitState(t, m, consumer.UpToDate)
		})
	}
}

// setPassword gives a user a password, and makes the user where there is none.
func (c *cluster) setPassword(t *testing.T, user, password string) {
	t.Helper()
	altered, err := c.admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{
		User: user, Mechanism: kadm.ScramSha512, Iterations: 4096, Password: password,
	}})
	if err != nil || altered.Error() != nil {
		t.Fatal(err, altered.Error())
	}
}

// A password is rotated in the order that people get wrong: at the broker
// first. Connections that stand go on; new ones are refused until the file is
// right, and it is right only after it was gone and empty.
func TestPasswordRotated(t *testing.T) {
	parallel(t)
	c := newSigningIn(t)
	cl := newProducer(t, c)
	const user = "signoff-rotated"
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, "first")
	c.setPassword(t, user, "first")
	rotated := *c
	rotated.cfg.SASL = &SASL{Mechanism: ScramSHA512, Username: user, PasswordFile: file}
	refused := func(want string) {
		t.Helper()
		eventually(t, "refused: "+want, func() bool {
			_, err := newDialer(rotated.cfg).dial(t.Context(), "tcp", c.cfg.Brokers[0])
			return strings.Contains(fmt.Sprint(err), want)
		})
	}
	m := newMemory()
	eventually(t, "the user is known", func() bool {
		conn, err := newDialer(rotated.cfg).dial(t.Context(), "tcp", c.cfg.Brokers[0])
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	r := start(t, &rotated, m, setup{})
	produce(t, cl, leavers(0, "a", 5)...)
	awaitEvents(t, m, 5)
	awaitState(t, m, consumer.UpToDate)

	c.setPassword(t, user, "second")
	refused("SASL Authentication Failed")
	produce(t, cl, leavers(0, "b", 5)...)
	awaitEvents(t, m, 10)
	c.stop(t, "stop")
	awaitState(t, m, consumer.Away)
	c.start(t)
	for _, step := range []struct {
		change func() error
		says   string
	}{
		{func() error { return nil }, "SASL Authentication Failed"},
		{func() error { return os.Remove(file) }, "kafka.sasl.password_file: open " + file},
		{func() error { return os.WriteFile(file, nil, 0o600) }, "kafka.sasl.password_file: " + file + ": empty"},
	} {
		if err := step.change(); err != nil {
			t.Fatal(err)
		}
		refused(step.says)
	}
	beats := r.beats.Load()
	eventually(t, "it goes on trying", func() bool { return r.beats.Load() > beats+1 })
	if state := m.reading().state; state != consumer.Away {
		t.Errorf("state is %s", state)
	}
	write(t, file, "second\n")
	produce(t, newProducer(t, c), leavers(0, "c", 5)...)
	awaitEvents(t, m, 15)
	awaitState(t, m, consumer.UpToDate)
}

// Our certificate expires. Connections that stand go on; whoever connects anew
// with it is refused until there is another.
func TestCertificateExpires(t *testing.T) {
	parallel(t)
	a := newAuthority(t)
	certFile, keyFile := a.client(t)
	cfg := Config{TLS: &TLS{CAFile: a.file, CertFile: certFile, KeyFile: keyFile}}
	c := newSecured(t, cfg, a.broker(t, tls.RequireAndVerifyClientCert))
	produce(t, newProducer(t, c), leavers(0, "a", 5)...)
	m := newMemory()
	start(t, c, m, setup{})
	awaitEvents(t, m, 5)
	awaitState(t, m, consumer.UpToDate)

	ours := &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: time.Now().Add(-time.Minute)}
	a.sign(t, ours, certFile, keyFile)
	c.stop(t, "stop")
	awaitState(t, m, consumer.Away)
	c.start(t)
	eventually(t, "refused as expired", func() bool {
		_, err := c.cfg.Partitions(t.Context())
		return strings.Contains(fmt.Sprint(err), "expired certificate")
	})
	if state := m.reading().state; state != consumer.Away {
		t.Errorf("state is %s", state)
	}
	ours.NotAfter = time.Time{}
	a.sign(t, ours, certFile, keyFile)
	produce(t, newProducer(t, c), leavers(0, "b", 5)...)
	awaitEvents(t, m, 10)
	awaitState(t, m, consumer.UpToDate)
}

// A broker may want everybody to sign in again after a while, and hangs up on
// who does not. That is no outage.
func TestBrokerThatHangsUp(t *testing.T) {
	parallel(t)
	c := newFake(t, 1)
	var commits atomic.Int64
	c.fake.ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		if commits.Add(1)%2 == 0 {
			return nil, nil, false
		}
		return nil, errors.New("sign in again"), true
	})
	m := newMemory()
	r := start(t, c, m, setup{})
	for i := range 3 {
		produce(t, newProducer(t, c), leavers(0, fmt.Sprint("a", i), 1)...)
		awaitEvents(t, m, i+1)
		eventually(t, "committed", func() bool { return committed(t, c, 0) == int64(i+1) })
	}
	if n := r.logs.FilterField(zapString("state", string(consumer.Away))).Len(); n != 0 || commits.Load() < 6 {
		t.Errorf("%d log lines say that it is away after %d commits, want none after 6", n, commits.Load())
	}
}
