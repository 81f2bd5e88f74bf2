-- Times are microseconds since 1970 UTC, 0 for none. Texts are '' for none. Truth is 1, falsehood 0.

-- An event that was recorded: the same key again is the same event, delivered again.
CREATE TABLE keys (
	origin      TEXT   NOT NULL,
	source      TEXT   NOT NULL,
	id          TEXT   NOT NULL,
	hash        TEXT   NOT NULL,
	entry       BIGINT NOT NULL,
	received_at BIGINT NOT NULL,
	PRIMARY KEY (origin, source, id)
);

-- One leaving of a leaver in one account; without an account until it is first due.
CREATE TABLE entries (
	id             BIGINT  NOT NULL PRIMARY KEY,
	leaver         TEXT    NOT NULL,
	account        TEXT    NOT NULL DEFAULT '',
	state          TEXT    NOT NULL,
	emails         TEXT    NOT NULL,
	employee_id    TEXT    NOT NULL DEFAULT '',
	termination_id TEXT    NOT NULL DEFAULT '',
	source         TEXT    NOT NULL DEFAULT '',
	manager_email  TEXT    NOT NULL DEFAULT '',
	given_name     TEXT    NOT NULL DEFAULT '',
	family_name    TEXT    NOT NULL DEFAULT '',
	legal_entity   TEXT    NOT NULL DEFAULT '',
	department     TEXT    NOT NULL DEFAULT '',
	urgent         INTEGER NOT NULL DEFAULT 0,
	stale          INTEGER NOT NULL DEFAULT 0,
	dry_run        INTEGER NOT NULL DEFAULT 0,
	word_at        BIGINT  NOT NULL,
	effective_at   BIGINT  NOT NULL,
	due_at         BIGINT  NOT NULL,
	received_at    BIGINT  NOT NULL,
	attempts       INTEGER NOT NULL DEFAULT 0,
	tries          INTEGER NOT NULL DEFAULT 0,
	misses         INTEGER NOT NULL DEFAULT 0,
	next_at        BIGINT  NOT NULL DEFAULT 0,
	reason         TEXT    NOT NULL DEFAULT '',
	hold           BIGINT  NOT NULL DEFAULT 0,
	held_at        BIGINT  NOT NULL DEFAULT 0,
	approvals_after BIGINT NOT NULL DEFAULT 0,
	sent_at        BIGINT  NOT NULL DEFAULT 0,
	sent_emails    TEXT    NOT NULL DEFAULT '',
	settled_at     BIGINT  NOT NULL DEFAULT 0,
	deadline       TEXT    NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX entries_open ON entries (leaver, account)
	WHERE state IN ('waiting', 'due', 'held', 'submitted', 'would_close', 'failed');
CREATE INDEX entries_leaver ON entries (leaver);
CREATE INDEX entries_state ON entries (state, due_at);
CREATE INDEX entries_deadline ON entries (due_at) WHERE deadline = '';
CREATE INDEX entries_sent ON entries (sent_at) WHERE sent_at > 0;

-- A user of the account that an entry would close, and what became of that.
CREATE TABLE memberships (
	entry      BIGINT NOT NULL,
	user_id    TEXT   NOT NULL,
	email      TEXT   NOT NULL,
	batch      BIGINT NOT NULL DEFAULT 0,
	outcome    TEXT   NOT NULL DEFAULT '',
	reason     TEXT   NOT NULL DEFAULT '',
	trace      TEXT   NOT NULL DEFAULT '',
	settled_at BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (entry, user_id)
);
CREATE INDEX memberships_batch ON memberships (batch) WHERE outcome = '';

-- One close request. It is written before the request is sent.
CREATE TABLE batches (
	id          BIGINT  NOT NULL PRIMARY KEY,
	account     TEXT    NOT NULL,
	users       INTEGER NOT NULL,
	sent_at     BIGINT  NOT NULL,
	answered_at BIGINT  NOT NULL DEFAULT 0,
	result      TEXT    NOT NULL DEFAULT '',
	trace       TEXT    NOT NULL DEFAULT ''
);

-- A plan, or one person of it, that waits for somebody's word.
CREATE TABLE holds (
	id         BIGINT  NOT NULL PRIMARY KEY,
	account    TEXT    NOT NULL,
	kinds      TEXT    NOT NULL,
	state      TEXT    NOT NULL,
	detail     TEXT    NOT NULL DEFAULT '',
	digest     TEXT    NOT NULL,
	dry_run    INTEGER NOT NULL DEFAULT 0,
	created_at BIGINT  NOT NULL,
	decided_at BIGINT  NOT NULL DEFAULT 0,
	decided_by TEXT    NOT NULL DEFAULT '',
	reason     TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX holds_state ON holds (state);
CREATE TABLE hold_users (
	hold    BIGINT NOT NULL,
	entry   BIGINT NOT NULL,
	user_id TEXT   NOT NULL,
	email   TEXT   NOT NULL,
	PRIMARY KEY (hold, entry, user_id)
);
CREATE INDEX hold_users_entry ON hold_users (entry);

-- An event that could not be understood.
CREATE TABLE rejects (
	id           BIGINT  NOT NULL PRIMARY KEY,
	fingerprint  TEXT    NOT NULL UNIQUE,
	source       TEXT    NOT NULL,
	origin       TEXT    NOT NULL,
	event_source TEXT    NOT NULL,
	event_id     TEXT    NOT NULL,
	position     TEXT    NOT NULL,
	reason       TEXT    NOT NULL,
	detail       TEXT    NOT NULL,
	payload      BYTEA   NOT NULL,
	size         BIGINT  NOT NULL,
	hash         TEXT    NOT NULL,
	state        TEXT    NOT NULL,
	attempts     INTEGER NOT NULL DEFAULT 1,
	received_at  BIGINT  NOT NULL,
	last_at      BIGINT  NOT NULL
);
CREATE INDEX rejects_open ON rejects (source) WHERE state = 'open';

-- The next offset to read of each Kafka partition.
CREATE TABLE watermarks (
	topic    TEXT    NOT NULL,
	part     INTEGER NOT NULL,
	next     BIGINT  NOT NULL,
	moved_at BIGINT  NOT NULL,
	PRIMARY KEY (topic, part)
);

-- What the closer last knew of an account.
CREATE TABLE accounts (
	account         TEXT   NOT NULL PRIMARY KEY,
	passed_at       BIGINT NOT NULL DEFAULT 0,
	parked          TEXT   NOT NULL DEFAULT '',
	advice          TEXT   NOT NULL DEFAULT '',
	parked_at       BIGINT NOT NULL DEFAULT 0,
	resume_at       BIGINT NOT NULL DEFAULT 0,
	hour_limit      BIGINT NOT NULL DEFAULT 0,
	hour_remaining  BIGINT NOT NULL DEFAULT 0,
	hour_reset_at   BIGINT NOT NULL DEFAULT 0
);

-- Small facts about the ledger and its process, by name.
CREATE TABLE facts (
	name  TEXT NOT NULL PRIMARY KEY,
	value TEXT NOT NULL
);

-- The chain: hash covers everything in the row and the hash of the row before.
-- personal holds a salted hash for each field whose value stands in
-- audit_personal, from where it can be erased without breaking the chain.
CREATE TABLE audit (
	seq      BIGINT NOT NULL PRIMARY KEY,
	at       BIGINT NOT NULL,
	action   TEXT   NOT NULL,
	entry    BIGINT NOT NULL,
	actor    TEXT   NOT NULL,
	facts    TEXT   NOT NULL,
	personal TEXT   NOT NULL,
	prev     TEXT   NOT NULL,
	hash     TEXT   NOT NULL
);
CREATE INDEX audit_entry ON audit (entry);
CREATE TABLE audit_personal (
	seq   BIGINT NOT NULL,
	field TEXT   NOT NULL,
	salt  TEXT   NOT NULL,
	value TEXT   NOT NULL,
	PRIMARY KEY (seq, field)
);
