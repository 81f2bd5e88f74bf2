package main

// safety is what keeps signoff from closing the wrong people, and what failed.
func safety() dashboard {
	return newDashboard("signoff-safety", "signoff / Safety",
		"What the guard would still let through, what it holds, what leavers came to, and what failed.", "7d", layout(
			high(4,
				mode().wide(5),
				stat("Open holds", "Plans that wait for a person. `signoff holds list` shows them, `signoff holds approve` and `reject` decide.",
					"short", steps("green", 1, "orange"), asked{"", "sum(signoff_holds{@})"}).wide(3),
				waiting("Oldest hold", "How long the oldest hold has waited. After a day somebody has overlooked it: decide, `signoff holds list`.", "signoff_oldest_hold_timestamp_seconds{@}", 14400, 86400).wide(4),
				waiting("Oldest urgent hold", "How long an urgent leaver has been held. Decide at once: somebody has said that this one must not wait.", "signoff_oldest_urgent_hold_timestamp_seconds{@}", 300, 900).wide(4),
				waiting("Oldest unknown outcome", "How long ago a close was sent of which signoff does not know yet whether it took effect. It looks for itself; if it has not found out after 15 minutes, see the failures and Docusign's answers on Pipeline.",
					"signoff_oldest_submitted_timestamp_seconds{@}", 300, 900).wide(4),
				stat("Returned users", "Users whom signoff closed and who are open again. Find out by whom, and whether the person is back: `signoff holds list`.",
					"short", steps("green", 1, "red"), asked{"", "sum(signoff_returned_users{@})"}).wide(4)),
			heading("The guard"),
			high(8,
				table("Holds by reason", "What waits for a person, by the gravest reason of each hold, and for how long. self, administrator and few_administrators can lock everybody out; limit: more leave than is usual, so ask HR before you approve.",
					column{label: "reason", title: "Reason"},
					column{title: "Holds", unit: "short", t: steps("green", 1, "orange"), sort: true, expr: "sum by (reason) (signoff_holds{@})"},
					column{title: "The oldest waits for", unit: "s", zero: "-", t: steps("text", 14400, "orange", 86400, "red"), expr: "max by (reason) (" + age("signoff_oldest_hold_timestamp_seconds{@}") + ")"}).wide(9),
				graph("Holds", "Open holds by reason. Each stays until a person decides, or until it is judged anew.",
					"short", asked{"{{reason}}", "sum by (reason) (signoff_holds{@})"}).stacked().noLegendOfZeros().wide(7),
				graph("Headroom", "Leavers that each limit would still let through in its window. At 0 all further ones are held. If that is how many leave, raise `guard.limits`; if not, ask HR.",
					"short", asked{"{{account}} {{window}}", "min by (account, window) (signoff_guard_headroom_users{@})"}).limit(steps("red", 1, "green")).wide(8)),
			high(7,
				table("Due within a week, by finding", "Leavers to come of whom the look ahead found what a person should see to before: `signoff plan` shows them, `signoff plan approve` lets them go when the time comes.",
					column{label: "finding", title: "Finding"},
					column{title: "Leavers", unit: "short", t: steps("green", 1, "orange"), sort: true, expr: "sum by (finding) (signoff_ahead_leavers{@})"}).wide(9),
				graph("Where leavers are", "Entries that are not settled, and those that a dry run would have closed (would_close).",
					"short", asked{"{{state}}", `sum by (state) (signoff_entries{@,state=~"waiting|due|held|submitted|failed|would_close"})`}).stacked().colored("waiting", "due", "submitted", "held", "failed", "would_close").noLegendOfZeros().wide(7),
				stat("Outside accounts", "Leavers who are open in accounts that the config does not name any more. Nobody closes them: name the account again, or `signoff skip`. `signoff check` names them.",
					"short", steps("green", 1, "red"), asked{"", "sum(signoff_entries_outside_accounts{@})"}).wide(4),
				stat("Audit", "Number of the last row of the audit chain. It never falls: if it does, the ledger was replaced. `signoff audit verify` checks the chain.",
					"none", steps("text"), asked{"", "max(signoff_audit_head{@})"}).wide(4)),
			heading("What came of it"),
			high(8,
				table("Outcomes in the range", "What leavers came to, by account. failed: all tries are used up, `signoff explain EMAIL` says why, then `signoff retry EMAIL`.",
					column{label: "account", title: "Account"}, column{label: "outcome", title: "Outcome"},
					column{title: "Leavers", unit: "short", sort: true, expr: "sum by (account, outcome) (round(increase(signoff_outcomes_total{@}[$__range])))"}).wide(12),
				graph("Outcomes", "What leavers came to, a second, by kind. A burst of not_found may be a change of addresses.",
					"eps", asked{"{{outcome}}", "sum by (outcome) (rate(signoff_outcomes_total{@}[$__rate_interval]))"}).stacked().colored("closed", "already_closed", "not_found", "failed", "cancelled", "skipped", "reopen_sent").noLegendOfZeros().wide(12)),
			high(8,
				table("Failures in the range", "What kept a look-up or a close from being done. Passing ones (network, timeout, server_error, quotas) are tried again; sign_in, consent, private_key and permissions park the account until somebody mends them.",
					column{label: "reason", title: "Reason"},
					column{title: "Failures", unit: "short", t: steps("text", 1, "orange"), sort: true, expr: "sum by (reason) (round(increase(signoff_failures_total{@}[$__range])))"}).wide(8),
				graph("Failures", "Failures a second, by account and reason.",
					"eps", asked{"{{account}} {{reason}}", "sum by (account, reason) (rate(signoff_failures_total{@}[$__rate_interval]))"}).stacked().noLegendOfZeros().noValue("none").wide(8),
				graph("Parked", "1 while nothing is closed in the account, and the reason. Mend what the reason names, in Docusign or in the config; signoff notices by itself.",
					"short", asked{"{{account}} {{reason}}", "max by (account, reason) (signoff_docusign_parked{@})"}).noLegendOfZeros().noValue("none").wide(8)),
		))
}

// waiting is since when the oldest of something waits.
func waiting(title, description, selector string, orange, red int) panel {
	return stat(title, description, "s", steps("green", orange, "orange", red, "red"), asked{"", "max(" + age(selector) + ")"}).says(word{"0", "none", "green"})
}
