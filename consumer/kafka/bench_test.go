package kafka

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// BenchmarkRead reads 500,000 records of which 1,000 are ours.
func BenchmarkRead(b *testing.B) {
	const records, ours = 500_000, 1000
	for _, partitions := range []int32{1, 8} {
		b.Run(fmt.Sprintf("partitions=%d", partitions), func(b *testing.B) {
			c := newCluster(b, partitions)
			cl := newProducer(b, c, kgo.ProducerLinger(0), kgo.MaxBufferedRecords(100_000))
			value := []byte(`{"pad":"` + strings.Repeat("x", 300) + `"}`)
			for i := range records {
				p := int32(i) % partitions
				r := inHeaders(p, fmt.Sprint(i), "com.example.order.shipped.v1", value)
				if i%(records/ours) == 0 {
					r = leaver(p, fmt.Sprint(i))
				}
				cl.Produce(b.Context(), r, nil)
			}
			if err := cl.Flush(b.Context()); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				m := newMemory()
				began := time.Now()
				r := start(b, c, m, setup{from: Earliest})
				eventually(b, "all read", func() bool { return r.ignored.Load() == records-ours })
				took := time.Since(began)
				awaitEvents(b, m, ours)
				r.stop()
				b.ReportMetric(records/took.Seconds(), "records/s")
			}
			b.ReportMetric(float64(peakRSS(b)), "peak-MB") // broker and producer are in it
		})
	}
}

// peakRSS is the most memory the process ever had, in MB; 0 where the system does not say.
func peakRSS(b *testing.B) (mb int) {
	b.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "VmHWM: %d kB", &mb); err == nil {
			return mb / 1024
		}
	}
	return 0
}
