package main

// pipeline is what comes in, and what Docusign is asked.
func pipeline() dashboard {
	const failed = `code!="2xx"`
	// By 400 Docusign says as well that there is nobody to be found.
	const refused, refused400 = `signoff_docusign_requests_total{@,code!~"2xx|400"}`, `signoff_docusign_requests_total{@,code="400",operation!~"list_users|get_user"}`
	return newDashboard("signoff-pipeline", "signoff / Pipeline",
		"What comes in by Kafka, webhook and CSV, and what Docusign is asked: how much, what fails, how long it takes.", "6h", layout(
			high(4,
				mode().wide(5),
				stat("Events", "Events that were received in the range of time that is shown, repeats among them. None, where there should be some: ask HR whether it still sends.",
					"short", steps("text"), asked{"", "sum(increase(signoff_events_received_total{@}[$__range]))"}).whole().wide(4),
				stat("Rejects that are open", "Events that could not be understood. Each may be a leaver whom nobody closes: `signoff rejects list`, mend the mapping or the sender, then `signoff rejects retry`.",
					"short", steps("green", 1, "red"), asked{"", "sum(signoff_rejects{@})"}).wide(5),
				stat("Webhook requests refused", "Requests to the webhook that were answered with anything but 2xx. 401 and 403: a token or signature is wrong; 400: what is sent is no event; 429 and 5xx: the sender tries again.",
					"short", steps("green", 1, "orange"), asked{"", "sum(increase(signoff_webhook_requests_total{@," + failed + "}[$__range]))"}).whole().wide(5),
				stat("Docusign requests refused", "Requests to Docusign that were answered with anything but 2xx, or not at all. Most are tried again; the table below tells which. A look-up's 400 is not counted: so Docusign says that it knows no such user.",
					"short", steps("green", 1, "orange"), asked{"", "sum(increase(" + refused + "[$__range])) + sum(increase(" + refused400 + "[$__range]))"}).whole().wide(5)),
			heading("Intake"),
			high(8,
				graph("Events a second", "How many events come in, by the way they come and what becomes of them. Rejected: see the rejects. Ignored: of no type that is meant for signoff.",
					"eps", asked{"{{source}} {{result}}", "sum by (source, result) (rate(signoff_events_received_total{@}[$__rate_interval])) > 0"}).stacked().wide(10),
				table("Events in the range", "The same as numbers of events, for those who have five leavers a month.",
					column{label: "source", title: "Way"}, column{label: "result", title: "Result"},
					column{title: "Events", unit: "short", sort: true, expr: "sum by (source, result) (round(increase(signoff_events_received_total{@}[$__range])))"}).wide(7),
				table("Rejects by reason", "Events that were kept as rejects in the range of time that is shown. no_email: the directory does not know the employee; mapping_failed: the payload has changed; may_not_rescind: a source takes back what another announced.",
					column{label: "reason", title: "Reason"},
					column{title: "Rejects", unit: "short", t: steps("green", 1, "red"), sort: true, expr: "sum by (reason) (round(increase(signoff_rejects_total{@}[$__range])))"}).wide(7)),
			high(5, table("Sources", "The sources of `events.sources`: when something last came from each, and how long it may be silent. A silent one may be an HR system that has stopped to tell who leaves: ask those who run it.",
				column{label: "source", title: "Source"},
				column{title: "Last heard", unit: "dateTimeFromNow", zero: "never", expr: "1000 * max by (source) (signoff_source_last_event_timestamp_seconds{@})"},
				column{title: "May be silent for", unit: "s", expr: "max by (source) (signoff_source_expected_within_seconds{@})"},
				column{title: "Silent for too long", unit: "short", zero: "no", t: steps("green", 1, "red"), sort: true, expr: "max by (source) (signoff_source_silent{@})"}).noValue("events.sources names none").wide(24)),
			high(8,
				graph("Webhook requests a second", "How many requests come in, by endpoint and answer.",
					"reqps", asked{"{{endpoint}} {{code}}", "sum by (endpoint, code) (rate(signoff_webhook_requests_total{@}[$__rate_interval])) > 0"}).stacked().wide(8),
				graph("Share of webhook requests refused", "The share of requests that were not answered with 2xx. One that stays high means that leavers are not taken in: look at the answers in the panel beside.",
					"percentunit", asked{"{{endpoint}}", "sum by (endpoint) (rate(signoff_webhook_requests_total{@," + failed + "}[$__rate_interval])) / (sum by (endpoint) (rate(signoff_webhook_requests_total{@}[$__rate_interval])) > 0) or sum by (endpoint) (0 * signoff_webhook_requests_total{@})"}).
					top(1).limit(steps("green", .05, "red")).wide(8),
				quantiles("Webhook duration", "How long a request took until it was answered, which is when its event is on disk. If it is long, see the ledger's writes.",
					"signoff_webhook_request_duration_seconds", "").wide(8)),
			heading("Docusign"),
			high(8,
				graph("Docusign requests a second", "How many requests Docusign is asked, by what.",
					"reqps", asked{"{{operation}}", "sum by (operation) (rate(signoff_docusign_requests_total{@}[$__rate_interval])) > 0"}).stacked().wide(8),
				graph("Docusign requests refused, a second", "Answers that are not 2xx, or none at all (error), but for the 400 of a look-up that finds nobody. 401 and 403: sign-in, consent or permissions, see Safety; 429: the quota; 5xx and error: Docusign or the way to it.",
					"reqps", asked{"{{operation}} {{code}}", "sum by (operation, code) (rate(" + refused + "[$__rate_interval])) or sum by (operation, code) (rate(" + refused400 + "[$__rate_interval]))"}).noValue("none").noLegendOfZeros().wide(8),
				quantiles("Docusign's answers, 95 %", "How long Docusign took, by what it was asked. Nothing is to be done but to wait, or to ask Docusign's status page.",
					"signoff_docusign_request_duration_seconds", "operation").wide(8)),
			high(8,
				table("Requests in the range", "Requests by what was asked and the answer, the most first.",
					column{label: "operation", title: "Operation"}, column{label: "code", title: "Answer"},
					column{title: "Requests", unit: "short", sort: true, expr: "sum by (operation, code) (round(increase(signoff_docusign_requests_total{@}[$__range])))"}).wide(6),
				graph("Quota left", "The share of calls that all integrations of the account together have left in the window. At 0 signoff waits for the next window. If another integration uses it up, ask Docusign for more.",
					"percentunit", asked{"{{account}} {{window}}", "min by (account, window) (signoff_docusign_quota_remaining{@} / (signoff_docusign_quota_limit{@} > 0))"}).top(1).
					limit(steps("red", .1, "green")).wide(7),
				table("Quota", "Calls left in each window, when it resets, and how many requests wait for room in it.",
					column{label: "account", title: "Account"}, column{label: "window", title: "Window"},
					column{title: "Left", unit: "short", expr: "min by (account, window) (signoff_docusign_quota_remaining{@})"},
					column{title: "Resets", unit: "dateTimeFromNow", zero: "not known", expr: "1000 * max by (account, window) (signoff_docusign_quota_reset_timestamp_seconds{@})"},
					column{title: "Waiting", unit: "short", t: steps("green", 1, "orange"), expr: "max by (account, window) (signoff_docusign_waiting_requests{@})"}).wide(11)),
			heading("Look-ups and batches"),
			high(7,
				table("Look-ups in the range", "Leavers looked for in Docusign, one by one (lookup) or in a list of all users (snapshot), and what was found. none: no user of that address. error: tried again in the next run.",
					column{label: "via", title: "By"}, column{label: "result", title: "Found"},
					column{title: "Leavers", unit: "short", sort: true, expr: "sum by (via, result) (round(increase(signoff_resolutions_total{@}[$__range])))"}).wide(8),
				table("Batches in the range", "Close requests by account, and whether all of their users were closed, some, or none. Partial and failed ones: see the failures on Safety.",
					column{label: "account", title: "Account"}, column{label: "result", title: "Result"},
					column{title: "Batches", unit: "short", sort: true, expr: "sum by (account, result) (round(increase(signoff_batches_total{@}[$__range])))"}).wide(10),
				stat("Users in a batch", "How many users a close request has, half and nearly all of them at most. Large ones are normal after a reorganization, else a reason to look at the holds.",
					"short", steps("text"),
					asked{"half within", quantile("0.5", "signoff_batch_users", "$__range", "")},
					asked{"95 % within", quantile("0.95", "signoff_batch_users", "$__range", "")}).whole().says(word{"nan", "none yet", "text"}).wide(6)),
		))
}

// quantiles draws half and nearly all of a histogram of seconds, or only nearly all by a label.
func quantiles(title, description, histogram, by string) panel {
	if by != "" {
		return graph(title, description, "s", asked{"{{" + by + "}}", quantile("0.95", histogram, "$__rate_interval", by) + " > 0"})
	}
	return graph(title, description, "s",
		asked{"half within", quantile("0.5", histogram, "$__rate_interval", "") + " > 0"},
		asked{"95 % within", quantile("0.95", histogram, "$__rate_interval", "") + " > 0"},
		asked{"99 % within", quantile("0.99", histogram, "$__rate_interval", "") + " > 0"})
}

func (p panel) top(most float64) panel {
	p.FieldConfig.Defaults.Max = &most
	return p
}

// noLegendOfZeros leaves series that are always 0 out of the legend: there are
// as many as there are labels.
func (p panel) noLegendOfZeros() panel {
	p.FieldConfig.Overrides = append(p.FieldConfig.Overrides, override{
		Matcher:    property{ID: "byValue", Options: map[string]any{"op": "lte", "reducer": "max", "value": 0}},
		Properties: []property{{ID: "custom.hideFrom", Value: map[string]any{"legend": true, "tooltip": true, "viz": true}}},
	})
	return p
}
