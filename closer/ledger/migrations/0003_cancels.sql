-- What came with rescinds, rehires, reopens and the settling of rejects.

-- The topic or endpoint of who announced the termination, beside source; '' if it is not known.
ALTER TABLE entries ADD COLUMN origin TEXT NOT NULL DEFAULT '';
UPDATE entries SET origin = COALESCE((SELECT k.origin FROM keys k
	WHERE k.entry = CASE entries.split_from WHEN 0 THEN entries.id ELSE entries.split_from END AND k.source = entries.source
	ORDER BY k.received_at DESC LIMIT 1), '');

-- The cancel that an entry has heard and that has not cancelled it yet: its close was on
-- the wire, or it takes effect later. 0: none.
ALTER TABLE entries ADD COLUMN cancel BIGINT NOT NULL DEFAULT 0;
CREATE INDEX entries_cancel ON entries (cancel) WHERE cancel > 0;

-- A rescind or a rehire: kept, since an older termination may come later, with its
-- payload, or the head of it, as long as it has found nobody of whom it speaks. size and
-- hash are of the payload as it came.
CREATE TABLE cancels (
	id             BIGINT  NOT NULL PRIMARY KEY,
	kind           TEXT    NOT NULL,
	origin         TEXT    NOT NULL,
	source         TEXT    NOT NULL,
	event_id       TEXT    NOT NULL,
	termination_id TEXT    NOT NULL,
	addressed      INTEGER NOT NULL,
	word_at        BIGINT  NOT NULL,
	effective_at   BIGINT  NOT NULL,
	received_at    BIGINT  NOT NULL,
	found          INTEGER NOT NULL DEFAULT 0,
	via            TEXT    NOT NULL,
	position       TEXT    NOT NULL,
	payload        BYTEA   NOT NULL,
	size           BIGINT  NOT NULL,
	hash           TEXT    NOT NULL
);

-- What a leaver goes by (cancel 0), in any word ever heard of them, and what a cancel calls
-- the leaver that it speaks of (leaver ''). kind: email, other (a further email), employee, termination.
-- said: the time of the last word that called the leaver so.
CREATE TABLE identities (
	kind   TEXT   NOT NULL,
	value  TEXT   NOT NULL,
	origin TEXT   NOT NULL DEFAULT '',
	source TEXT   NOT NULL DEFAULT '',
	leaver TEXT   NOT NULL DEFAULT '',
	cancel BIGINT NOT NULL DEFAULT 0,
	said   BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (value, kind, origin, source, leaver, cancel)
);
CREATE INDEX identities_leaver ON identities (leaver) WHERE cancel = 0;
CREATE INDEX identities_cancel ON identities (cancel) WHERE cancel > 0;
INSERT INTO identities (kind, value, leaver, said)
	SELECT CASE a.value WHEN e.leaver THEN 'email' ELSE 'other' END, a.value, e.leaver, e.word_at FROM entries e, json_each(e.emails) a WHERE true
	ON CONFLICT DO UPDATE SET said = MAX(said, excluded.said);
INSERT INTO identities (kind, value, leaver, said)
	SELECT 'termination', termination_id, leaver, word_at FROM entries WHERE termination_id <> ''
	ON CONFLICT DO UPDATE SET said = MAX(said, excluded.said);
INSERT INTO identities (kind, value, origin, source, leaver, said)
	SELECT 'employee', employee_id, origin, source, leaver, word_at FROM entries WHERE employee_id <> ''
	ON CONFLICT DO UPDATE SET said = MAX(said, excluded.said);

-- A user whom signoff closed and who may be opened again, if a person approves.
CREATE TABLE reopens (
	id         BIGINT NOT NULL PRIMARY KEY,
	hold       BIGINT NOT NULL,
	entry      BIGINT NOT NULL,
	cancel     BIGINT NOT NULL,
	account    TEXT   NOT NULL,
	user_id    TEXT   NOT NULL,
	email      TEXT   NOT NULL,
	due_at     BIGINT NOT NULL,
	state      TEXT   NOT NULL,
	reason     TEXT   NOT NULL DEFAULT '',
	trace      TEXT   NOT NULL DEFAULT '',
	sent_at    BIGINT NOT NULL DEFAULT 0,
	attempts   INTEGER NOT NULL DEFAULT 0,
	next_at    BIGINT NOT NULL DEFAULT 0,
	settled_at BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX reopens_entry ON reopens (entry);
CREATE INDEX reopens_hold ON reopens (hold);
CREATE INDEX reopens_due ON reopens (account, due_at) WHERE state IN ('approved', 'submitted');
CREATE INDEX reopens_user ON reopens (user_id);

-- How a reject was settled: by whom, and why.
ALTER TABLE rejects ADD COLUMN settled_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE rejects ADD COLUMN settled_by TEXT NOT NULL DEFAULT '';
ALTER TABLE rejects ADD COLUMN settled_reason TEXT NOT NULL DEFAULT '';
CREATE INDEX rejects_settled ON rejects (settled_at) WHERE settled_at > 0;
