package main

// kafkaAndLedger is what signoff stands on.
func kafkaAndLedger() dashboard {
	return newDashboard("signoff-kafka-ledger", "signoff / Kafka and ledger",
		"What signoff stands on: Kafka, the ledger and its disk, the outcomes that are published, its loops, process and config.", "6h", layout(
			high(4,
				mode().wide(5),
				stat("Kafka", "What the Kafka source does. away: no broker answers, see the log. needs_from: signoff does not know where to begin, set `kafka.from`. paused: the ledger takes nothing, see below.",
					"none", steps("red", 1, "green"), asked{"{{state}}", "max by (state) (signoff_kafka_state{@}) == 1"}).named().noValue("no Kafka").wide(4),
				stat("Records to read", "Records that the ledger has not taken in yet. It matters only if they are old: see beside.",
					"short", steps("text"), asked{"", "sum(signoff_kafka_lag{@})"}).noValue("no Kafka").wide(3),
				waiting("Oldest record to read", "How old the oldest record is that the ledger has not taken in. If it grows, a broker is away, or the ledger's disk is full or slow.",
					"signoff_kafka_oldest_uncommitted_timestamp_seconds{@}", 300, 900).noValue("no Kafka").wide(4),
				stat("Lost offsets", "Offsets that were gone from the log before they could be read: leavers of whom signoff never heard. Compare with HR's list: `signoff reconcile`, and let the topic keep its records for longer.",
					"short", steps("green", 1, "red"), asked{"", "sum(increase(signoff_kafka_lost_offsets_total{@}[$__range]))"}).whole().noValue("no Kafka").wide(4),
				stat("Ledger errors", "Transactions that could not be written. Nothing is acknowledged that is not on disk, so nothing is lost, but nothing goes on either: look at the disk and at the log.",
					"short", steps("green", 1, "red"), asked{"", "sum(increase(signoff_ledger_errors_total{@}[$__range]))"}).whole().wide(4)),
			heading("Kafka"),
			high(8,
				graph("Lag", "Records of each partition that the ledger has not taken in yet.",
					"short", asked{"{{topic}} {{partition}}", "max by (topic, partition) (signoff_kafka_lag{@})"}).wide(8),
				graph("Age of the oldest record to read", "In seconds: how late the word of a leaver is. 0 where all is read, so a quiet partition is not late.",
					"s", asked{"{{topic}} {{partition}}", "max by (topic, partition) (" + age("signoff_kafka_oldest_uncommitted_timestamp_seconds{@}") + ")"}).limit(steps("green", 900, "red")).wide(8),
				graph("State", "The state that the Kafka source is in. It should be up_to_date; catching_up after a start or a burst.",
					"short", asked{"{{state}}", "sum by (state) (signoff_kafka_state{@})"}).stacked().noLegendOfZeros().wide(8)),
			high(5, table("Lost, by topic", "Offsets of each topic that were gone before they could be read, and 1 for each partition of a topic that was made anew, in the range of time that is shown.",
				column{label: "topic", title: "Topic"},
				column{title: "Offsets", unit: "short", t: steps("green", 1, "red"), sort: true, expr: "sum by (topic) (round(increase(signoff_kafka_lost_offsets_total{@}[$__range])))"}).wide(8),
				publishing().wide(16)),
			heading("Ledger"),
			high(8,
				quantiles("Writes", "How long a transaction took until it was on disk. Above a second, events and closes wait for the disk: use a faster one, and none over the network.",
					"signoff_ledger_write_duration_seconds", "").limit(steps("green", 1, "red")).wide(8),
				graph("Transactions", "Transactions that were written, and that could not be, a second.",
					"ops", asked{"written", "sum(rate(signoff_ledger_write_duration_seconds_count{@}[$__rate_interval]))"}, asked{"errors", "sum(rate(signoff_ledger_errors_total{@}[$__rate_interval]))"}).wide(8),
				graph("Disk", "Size of the ledger's files, and space left on their disk. When it is full, signoff takes nothing in and closes nobody: make the volume larger before that.",
					"bytes", asked{"ledger {{instance}}", "signoff_ledger_size_bytes{@}"}, asked{"free {{instance}}", "signoff_ledger_free_bytes{@}"}).wide(8)),
			heading("Loops and process"),
			high(6,
				table("Heartbeats", "When each loop last completed a turn. Each turns every few seconds, the keeper every minute, also while there is nothing to do. One that is older is stuck, and /livez soon has the pod restarted.",
					column{label: "instance", title: "Instance"}, column{label: "loop", title: "Loop"},
					column{title: "Last turn", unit: "dateTimeFromNow", zero: "none yet", expr: "1000 * max by (instance, loop) (signoff_heartbeat_timestamp_seconds{@})"},
					column{title: "Ago", unit: "s", t: steps("green", 300, "orange", 900, "red"), sort: true, expr: "max by (instance, loop) (" + age("signoff_heartbeat_timestamp_seconds{@}") + ")"}).wide(12),
				table("What runs", "Each instance with its version, and since when it runs. Two versions for longer than an upgrade takes: it did not go through.",
					column{label: "instance", title: "Instance"}, column{label: "version", title: "Version"}, column{label: "goversion", title: "Go"},
					column{title: "Started", unit: "dateTimeFromNow", expr: `1000 * max by (instance, version, goversion) (process_start_time_seconds{@} * on (job, instance) group_left (version, goversion) signoff_build_info{@})`}).wide(12)),
			high(7,
				graph("CPU", "Cores in use.",
					"short", asked{"{{instance}}", "rate(process_cpu_seconds_total{@}[$__rate_interval])"}).wide(6),
				graph("Memory", "Memory of the process. If it nears the limit of the pod, raise the limit; if it grows without end, that is a fault.",
					"bytes", asked{"{{instance}}", "process_resident_memory_bytes{@}"}).wide(6),
				graph("Goroutines", "If they grow without end, that is a fault.",
					"short", asked{"{{instance}}", "go_goroutines{@}"}).wide(6),
				graph("Open files", "Files and connections that are open, as a share of how many may be. Near 100 % nothing new can be opened: raise the limit.",
					"percentunit", asked{"{{instance}}", "process_open_fds{@} / process_max_fds{@}"}).limit(steps("green", .8, "red")).wide(6)),
			heading("Config"),
			high(4,
				stat("Last reload", "Whether the last config that was read is in force. If it was refused, the one before is still in force; the log says which line is wrong, and so does `signoff check`.",
					"none", steps("red", 1, "green"), asked{"", "min(signoff_config_last_reload_successful{@})"}).says(word{"0", "refused", "red"}, word{"1", "in force", "green"}).wide(6),
				stat("In force since", "When the config in force was read.",
					"dateTimeFromNow", steps("text"), asked{"", "1000 * max(signoff_config_last_reload_success_timestamp_seconds{@})"}).wide(6),
				stat("Restart needed", "Whether the file has changes that only a restart brings into force: restart signoff when it suits.",
					"none", steps("green", 1, "orange"), asked{"", "max(signoff_config_restart_needed{@})"}).says(word{"0", "no", "green"}, word{"1", "yes", "orange"}).wide(6),
				stat("Different configs", "How many configs are in force, by their digest. More than one, with several instances, means that one of them has not taken the new one up.",
					"short", steps("green", 2, "orange"), asked{"", "count(count_values(\"hash\", signoff_config_hash{@}))"}).wide(6)),
		))
}

func publishing() panel {
	return table("Outcomes to publish", "What the Kafka topic and the webhook for outcomes have not acknowledged yet, and since when the oldest waits. It is tried again for ever and holds up nothing else; if it grows, the receiver is away.",
		column{label: "sink", title: "To"},
		column{title: "Waiting", unit: "short", t: steps("text"), sort: true, expr: "sum by (sink) (signoff_outcomes_unpublished{@})"},
		column{title: "The oldest waits for", unit: "s", zero: "-", t: steps("green", 900, "orange", 3600, "red"), expr: "max by (sink) (" + age("signoff_outcomes_oldest_unpublished_timestamp_seconds{@}") + ")"},
		column{title: "Published in the range", unit: "short", expr: "sum by (sink) (round(increase(signoff_outcomes_published_total{@}[$__range])))"},
		column{title: "Failed tries in the range", unit: "short", t: steps("green", 1, "orange"), expr: "sum by (sink) (round(increase(signoff_outcomes_publish_failures_total{@}[$__range])))"})
}

// named shows the legend and not the value.
func (p panel) named() panel {
	p.Options["textMode"] = "name"
	return p
}

// noValue is shown where the query gives nothing.
func (p panel) noValue(words string) panel {
	p.FieldConfig.Defaults.NoValue = words
	return p
}
