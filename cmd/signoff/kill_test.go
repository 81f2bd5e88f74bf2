package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	segmentio "github.com/segmentio/kafka-go"

	"signoff/closer/docusign/docusigntest"
	"signoff/closer/ledger"
)

// freePort is a port that nobody listens on just now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// child is a daemon in a process of its own.
type child struct {
	cmd  *exec.Cmd
	logs *logBuffer
}

func startChild(t *testing.T, file string, args ...string) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{cmd: exec.Command(self, args...), logs: &logBuffer{}}
	c.cmd.Env = append(os.Environ(), daemonConfig+"="+file)
	c.cmd.Stdout, c.cmd.Stderr = c.logs, c.logs
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.cmd.Process.Kill(); _ = c.cmd.Wait() })
	return c
}

// TestKilledDaemonLosesAndDoublesNothing kills the daemon at random moments,
// and at some when a close is under way, while terminations come in. It takes half a minute of waiting,
// since a close that was under way is looked up only once its request can no
// longer take effect.
func TestKilledDaemonLosesAndDoublesNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for half a minute")
	}
	t.Parallel()
	const people, byWebhook, kills = 300, 60, 5
	s := newSite(t, siteOptions{users: leaverUsers(people),
		docusign: docusigntest.Config{Latency: 20 * time.Millisecond, LatencyJitter: 60 * time.Millisecond}})
	webhook, admin := freePort(t), freePort(t)
	file := s.config(t, map[string]string{
		"webhook.listen": fmt.Sprintf("127.0.0.1:%d", webhook), "admin.listen": fmt.Sprintf("127.0.0.1:%d", admin), "batch.max_users": "7"})

	var senders sync.WaitGroup
	senders.Go(func() { s.sendByKafka(t, byWebhook, people) })
	senders.Go(func() { sendByWebhook(t, fmt.Sprintf("http://127.0.0.1:%d/events", webhook), byWebhook) })

	var logs []*logBuffer
	var l *ledger.Ledger
	for i := range kills {
		c := startChild(t, file)
		logs = append(logs, c.logs)
		if i == 0 {
			l = openWhenThere(t, file)
			t.Cleanup(func() { _ = l.Close() })
		}
		time.Sleep(rand.N(time.Second))
		if i%2 == 1 {
			awaitSubmitted(t, l, people)
		}
		if err := c.cmd.Process.Kill(); err != nil {
			t.Errorf("the daemon had ended by itself: %v\n%s", err, c.logs)
		}
		_ = c.cmd.Wait()
	}
	last := startChild(t, file)
	logs = append(logs, last.logs)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last daemon said\n%s", last.logs)
		}
	})
	senders.Wait()
	awaitAllClosed(t, l, people)
	_, metrics := get(t, fmt.Sprintf("http://127.0.0.1:%d/metrics", admin))
	noLeak(t, "/metrics", metrics)
	s.closedOnce(t, people)

	if err := last.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := last.cmd.Wait(); err != nil {
		t.Errorf("ended by SIGTERM with %v\n%s", err, last.logs)
	}
	if _, err := l.VerifyAudit(t.Context()); err != nil {
		t.Errorf("the audit: %v", err)
	}
	for i, log := range logs {
		noLeak(t, fmt.Sprintf("log %d", i), log.String())
	}
}

// openWhenThere opens the ledger for reading, once a daemon has made it.
func openWhenThere(t *testing.T, file string) (l *ledger.Ledger) {
	t.Helper()
	cfg, err := loadConfig(file)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the daemon makes a ledger", func() bool {
		l, err = ledger.OpenReadOnly(t.Context(), cfg.ledgerConfig())
		return err == nil
	})
	return l
}

// awaitSubmitted waits until a close is under way, besides those that an earlier
// kill left behind, or nobody is left to be closed.
func awaitSubmitted(t *testing.T, l *ledger.Ledger, people int) {
	t.Helper()
	least := people
	eventually(t, "a close is under way", func() bool {
		stats, err := l.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		submitted := stats.Entries[ledger.Submitted]
		least = min(least, submitted)
		return submitted > least || submitted+stats.Entries[ledger.Closed] == people
	})
}

func awaitAllClosed(t *testing.T, l *ledger.Ledger, people int) {
	t.Helper()
	var stats ledger.Stats
	for deadline := time.Now().Add(60 * time.Second); stats.Entries[ledger.Closed] != people; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%v, want %d closed; %+v", stats.Entries, people, stats.Accounts)
		}
		var err error
		if stats, err = l.Stats(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for state, n := range stats.Entries {
		if state != ledger.Closed && n != 0 {
			t.Errorf("%d entries are %s", n, state)
		}
	}
}

// sendByKafka sends the terminations of people from..to-1 among other events,
// for about as long as the daemon is being killed.
func (s *site) sendByKafka(t *testing.T, from, to int) {
	w := &segmentio.Writer{Addr: segmentio.TCP(s.broker.ListenAddrs()...), Topic: demoTopic, BatchTimeout: time.Millisecond}
	defer w.Close()
	for i := from; i < to; i++ {
		messages := []segmentio.Message{structured(termination(t, i))}
		for n := range 5 {
			messages = append(messages, unrelated(i*5+n))
		}
		if i%10 == 0 {
			messages = append(messages, messages[0])
		}
		if err := w.WriteMessages(context.Background(), messages...); err != nil {
			t.Errorf("produce: %v", err)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// sendByWebhook sends each termination until it is answered 202.
func sendByWebhook(t *testing.T, url string, people int) {
	for i := range people {
		text := termination(t, i)
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			err := postEvent(context.Background(), url, webhookToken, text)
			if err == nil {
				break
			}
			if time.Now().After(deadline) {
				t.Errorf("termination %d was never taken: %v", i, err)
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}
