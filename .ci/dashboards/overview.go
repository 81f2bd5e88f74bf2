package main

// overview is for the people who answer for leavers.
func overview() dashboard {
	return newDashboard("signoff-overview", "signoff / Overview",
		"For the identity team: who is still open and how late, what was closed, and what needs a person.", "7d", layout(
			high(4, mode().wide(5), needed().wide(19)),
			high(4,
				stat("Oldest open leaver", "How long ago the leaver was due who is open for the longest. Held and parked leavers count. Beside is what that means for the deadline; below, what holds them up: a hold, a parked account, a failure.",
					"s", steps("text"), asked{"", "max(" + age("signoff_oldest_overdue_timestamp_seconds{@}") + ")"}).
					says(word{"0", "none", "green"}).wide(3),
				stat("Of the deadline", "How much of `batch.deadline` the oldest open leaver has used up. From 80 % on somebody should act; at 100 % the deadline is missed.",
					"percentunit", steps("green", .8, "orange", 1, "red"), asked{"", "max(" + ofTheDeadline + ")"}).whole().wide(3),
				stat("Due now", "Leavers whose time has come and who are not closed yet; the next run takes them. If this does not fall, see Last run.",
					"short", steps("text"), asked{"", `sum(signoff_entries{@,state=~"due|submitted"})`}).wide(3),
				stat("Not due yet", "Leavers of whom signoff knows already and whose last day is yet to come. Nothing is to be done.",
					"short", steps("text"), asked{"", `sum(signoff_entries{@,state="waiting"})`}).wide(3),
				stat("Closed (24 h)", "Users who were closed in the last 24 hours.",
					"short", steps("text"), asked{"", `sum(increase(signoff_outcomes_total{@,outcome="closed"}[1d]))`}).whole().wide(3),
				stat("Not found (24 h)", "Leavers of the last 24 hours of whom no account knew a user. A few are normal, since not all have one. If it is more than usual, compare the addresses that HR sends with those in Docusign.",
					"short", steps("text"), asked{"", "sum(signoff_not_found_leavers{@})"}).wide(3),
				stat("To see to ahead", "Leavers who are due within a week, of whom the look ahead found what would hold them up: no user, an administrator, a limit. Approve or reject them ahead: `signoff holds list`. Safety tells which.",
					"short", steps("green", 1, "orange"), asked{"", "sum(signoff_ahead_leavers{@})"}).wide(3),
				stat("Last run", "How long ago the account was looked at that waits for the longest. The next run comes `batch.interval` after the last. If it is older than that, the closer is stuck or cannot sign in: see Parked below, and the heartbeats on Kafka and ledger.",
					"s", steps("text"), asked{"", "max(" + age("signoff_pass_timestamp_seconds{@}") + ")"}).says(word{"0", "none yet", "orange"}).wide(3)),
			high(5, accounts().wide(24)),
			high(8,
				graph("Who is open", "Leavers who are not settled, by where they are. Due falls with each run; held and failed stay until a person acts.",
					"short", asked{"{{state}}", `sum by (state) (signoff_entries{@,state=~"waiting|due|submitted|held|failed"})`}).stacked().colored("waiting", "due", "submitted", "held", "failed").wide(12),
				graph("Settled", "What leavers came to: a bar for each day where a week is shown, up to midnight. Nothing at all for longer than usual: see whether events still come in, on Pipeline.",
					"short", asked{"{{outcome}}", "sum by (outcome) (increase(signoff_outcomes_total{@}[$__interval]))"}).stacked().colored("closed", "already_closed", "not_found", "failed", "cancelled", "skipped", "reopen_sent").noLegendOfZeros().bars(7, "1m").wide(12)),
			heading("How long it took, in the range of time that is shown"),
			high(4,
				clock("Notice delay (HR's)", "From the last day to when signoff was told of it; none if it was told ahead. If it is long, no setting of signoff's helps: HR has to say so sooner.", "signoff_notice_delay_seconds", 86400).wide(8),
				clock("Close latency (ours)", "From when the leaver was due to when the user was closed. If it is long: a hold that waited, a parked account, the quota, or a long `batch.interval`.", "signoff_close_latency_seconds", 86400).wide(8),
				clock("Exposure (the auditor's)", "From the last day to when the user was closed: how long a leaver could still sign. It is the two others together.", "signoff_exposure_seconds", 172800).wide(8)),
			high(6,
				stat("Settled in time", "The share of leavers that were settled before their deadline. Each counts once, when settled or when the deadline passes.",
					"percentunit", steps("red", .95, "orange", .99, "green"),
					asked{"", `sum(increase(signoff_deadlines_total{@,result="met"}[$__range])) / sum(increase(signoff_deadlines_total{@,result=~"met|missed"}[$__range]))`}).
					says(word{"nan", "nobody yet", "text"}).wide(5),
				stat("Missed their deadline", "Leavers whose deadline passed before they were settled. Look up each with `signoff audit report`; the table has the causes.",
					"short", steps("green", 1, "red"), asked{"", `sum(increase(signoff_deadlines_total{@,result="missed"}[$__range]))`}).whole().wide(5),
				table("Deadlines by cause", "What kept leavers from being settled in time: a hold, a parked account, the quota, failures. Met with the cause notice: in time by signoff, but told of later than the deadline after they left.",
					column{label: "result", title: "Deadline"}, column{label: "cause", title: "Cause"},
					column{title: "Leavers", unit: "short", sort: true, expr: "sum by (result, cause) (round(increase(signoff_deadlines_total{@}[$__range])))"}).wide(7),
				table("What leavers came to", "All that were settled in the range of time that is shown. Failed ones need a person: `signoff explain EMAIL` says why.",
					column{label: "outcome", title: "Outcome"},
					column{title: "Leavers", unit: "short", sort: true, expr: "sum by (outcome) (round(increase(signoff_outcomes_total{@}[$__range])))"}).wide(7)),
		))
}

// ofTheDeadline is the share of it that the oldest leaver of each account has used up.
var ofTheDeadline = age("signoff_oldest_overdue_timestamp_seconds{@}") + " / on (job, instance) group_left () signoff_deadline_seconds{@}"

// needed is what stays as it is until a person acts.
func needed() panel {
	return stat("Needs a person", "Nothing of this goes on by itself. Holds: decide, `signoff holds list`. Rejects: `signoff rejects list`. Failed: `signoff explain EMAIL`. Returned: closed users who are open again, find out by whom. "+
		"Parked: mend sign-in or consent, then it goes on. Outside: open leavers of accounts that the config does not name any more, `signoff check` names them.",
		"short", steps("green", 1, "orange"),
		asked{"Holds", "sum(signoff_holds{@})"},
		asked{"People held", `sum(signoff_entries{@,state="held"})`},
		asked{"Rejects", "sum(signoff_rejects{@})"},
		asked{"Failed", `sum(signoff_entries{@,state="failed"})`},
		asked{"Returned", "sum(signoff_returned_users{@})"},
		asked{"Parked accounts", "sum(max by (instance, account) (signoff_docusign_parked{@}))"},
		asked{"Outside", "sum(signoff_entries_outside_accounts{@})"})
}

func accounts() panel {
	return table("Accounts", "Each Docusign account: for how long its oldest leaver has been due and how much of the deadline that is, when its last run ended (the next comes `batch.interval` after it), until when it waits for its quota, and whether it is parked. "+
		"A last run that is older than a few intervals means that the closer is stuck or cannot sign in: see Safety, and the heartbeats on Kafka and ledger.",
		column{label: "account", title: "Account"},
		column{title: "Oldest due for", unit: "s", zero: "none due", sort: true, expr: "max by (account) (" + age("signoff_oldest_overdue_timestamp_seconds{@}") + ")"},
		column{title: "Of the deadline", unit: "percentunit", t: steps("green", .8, "orange", 1, "red"), expr: "max by (account) (" + ofTheDeadline + ")"},
		column{title: "Last run", unit: "dateTimeFromNow", zero: "never", expr: "1000 * min by (account) (signoff_pass_timestamp_seconds{@})"},
		column{title: "Waits until", unit: "dateTimeAsIso", zero: "does not wait", expr: "1000 * max by (account) (signoff_docusign_resume_timestamp_seconds{@})"},
		column{title: "Parked", unit: "short", zero: "no", t: steps("green", 1, "red"), expr: "max by (account) (signoff_docusign_parked{@})"},
		column{title: "Returned", unit: "short", t: steps("green", 1, "orange"), expr: "sum by (account) (signoff_returned_users{@})"})
}

// clock shows a histogram of what people wait for.
func clock(title, description, histogram string, red int) panel {
	return stat(title, description+" Half took no longer than the first, 19 of 20 no longer than the second; both are read from buckets, the least of which is a minute.",
		"s", steps("green", red/2, "orange", red, "red"),
		asked{"half within", quantile("0.5", histogram, "$__range", "")},
		asked{"95 % within", quantile("0.95", histogram, "$__range", "")}).
		says(word{"nan", "nobody yet", "text"})
}

// whole shows no parts of people: increase() reckons with what it did not see.
func (p panel) whole() panel {
	none := 0
	p.FieldConfig.Defaults.Decimals = &none
	return p
}
