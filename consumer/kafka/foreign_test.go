package kafka

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"signoff/consumer"
)

// Apache Kafka's own console producer.
func TestReadsTheConsoleProducer(t *testing.T) {
	c := newCluster(t, 1)
	control := os.Getenv(realControl)
	if c.fake != nil || control == "" {
		t.Skipf("needs a real broker with %s", realControl)
	}
	attributes := "ce_specversion:1.0,ce_source:/hr,ce_type:" + consumer.TypeTerminated
	lines := []string{
		attributes + ",ce_id:a,content-type:application/json\tE-1\t" + data,
		attributes + ",ce_id:b,ce_subject:Zoë Müller\tE-2\t" + data,
		"content-type:application/cloudevents+json; charset=UTF-8\tE-3\t" + wholeEvent(consumer.TypeTerminated),
		"NULL\tE-4\t" + strings.Replace(wholeEvent(consumer.TypeTerminated), "e-1", "e-2", 1),
		"NULL\tE-1\tNULL",
		"trace:1\tE-5\t" + data,
	}
	run := exec.Command(control, "produce", testTopic)
	run.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	m := newMemory()
	r := start(t, c, m, setup{})
	awaitEvents(t, m, 4)
	awaitState(t, m, consumer.UpToDate)
	if _, rejects, _ := m.count(); rejects != 1 || r.ignored.Load() != 1 {
		t.Errorf("%d rejects, %d ignored; want 1 each", rejects, r.ignored.Load())
	}
}

// kcat is librdkafka, as most other languages use it.
func TestReadsKcat(t *testing.T) {
	parallel(t)
	kcat, err := exec.LookPath("kcat")
	if err != nil && os.Getenv("CI") != "" {
		t.Fatal("kcat is not installed: .ci/run does that")
	}
	if err != nil {
		t.Skip("kcat is not installed")
	}
	c := newCluster(t, 1)
	n := 0
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		args := append([]string{"-P", "-b", c.cfg.Brokers[0], "-t", testTopic, "-p", "0", "-z", codec, "-K", "\t", "-X", "message.timeout.ms=20000",
			"-H", "ce_specversion=1.0", "-H", "ce_source=/hr", "-H", "ce_type=" + consumer.TypeTerminated, "-H", "ce_id=" + codec}, c.forKcat(t)...)
		run := exec.Command(kcat, args...)
		run.Stdin = strings.NewReader("E-1\t" + data + "\n")
		if out, err := run.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		n++
	}
	m := newMemory()
	start(t, c, m, setup{})
	awaitEvents(t, m, n)
}

// forKcat is how kcat is told what Config tells us.
func (c *cluster) forKcat(t *testing.T) (args []string) {
	t.Helper()
	set := func(key, value string) { args = append(args, "-X", fmt.Sprintf("%s=%s", key, value)) }
	protocol := "PLAINTEXT"
	if s := c.cfg.TLS; s != nil {
		protocol = "SSL"
		set("ssl.ca.location", s.CAFile)
		set("ssl.certificate.location", s.CertFile)
		set("ssl.key.location", s.KeyFile)
	}
	if s := c.cfg.SASL; s != nil {
		protocol = map[string]string{"PLAINTEXT": "SASL_PLAINTEXT", "SSL": "SASL_SSL"}[protocol]
		text, err := os.ReadFile(s.PasswordFile)
		if err != nil {
			t.Fatal(err)
		}
		mechanism := strings.ToUpper(string(s.Mechanism))
		if os.Getenv(realControl) != "" { // librdkafka before 2.6.1 repeats the nonce of SCRAM, which Kafka 4 refuses
			mechanism = "PLAIN"
		}
		set("sasl.mechanism", mechanism)
		set("sasl.username", s.Username)
		set("sasl.password", strings.TrimSpace(string(text)))
	}
	set("security.protocol", protocol)
	return args
}
