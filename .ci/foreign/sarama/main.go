// Command sarama sends one CloudEvent to Kafka by the CloudEvents SDK's own
// Kafka binding. It reads the event, as JSON, from standard input.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"

	"github.com/IBM/sarama"
	"github.com/cloudevents/sdk-go/protocol/kafka_sarama/v2"
	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/cloudevents/sdk-go/v2/binding"
)

func main() {
	broker := flag.String("broker", "", "`host:port` of a broker")
	topic := flag.String("topic", "", "`name` of the topic")
	structured := flag.Bool("structured", false, "send in structured mode, not in binary mode")
	flag.Parse()
	if err := send(*broker, *topic, *structured); err != nil {
		fmt.Fprintln(os.Stderr, "sarama:", err)
		os.Exit(1)
	}
}

func send(broker, topic string, structured bool) error {
	var event cloudevents.Event
	if err := json.NewDecoder(os.Stdin).Decode(&event); err != nil {
		return fmt.Errorf("read event: %w", err)
	}
	config := sarama.NewConfig()
	config.Version = sarama.V2_0_0_0 // headers came with 0.11
	sender, err := kafka_sarama.NewSender([]string{broker}, config, topic)
	if err != nil {
		return err
	}
	client, err := cloudevents.NewClient(sender)
	if err != nil {
		return err
	}
	ctx := kafka_sarama.WithMessageKey(context.Background(), sarama.StringEncoder(event.Subject()))
	if structured {
		ctx = binding.WithForceStructured(ctx)
	}
	if result := client.Send(ctx, event); cloudevents.IsUndelivered(result) {
		return result
	}
	return sender.Close(context.Background())
}
