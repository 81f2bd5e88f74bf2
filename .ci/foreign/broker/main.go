// Command broker is a Kafka broker in memory with one topic, for as long as it
// runs. It prints the address that it listens on.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/twmb/franz-go/pkg/kfake"
)

func main() {
	topic := flag.String("topic", "hr.employee", "`name` of the topic, which has three partitions")
	flag.Parse()

	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, *topic))
	if err != nil {
		fmt.Fprintln(os.Stderr, "broker:", err)
		os.Exit(1)
	}
	defer broker.Close()
	fmt.Println(broker.ListenAddrs()[0])

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	<-ctx.Done()
}
