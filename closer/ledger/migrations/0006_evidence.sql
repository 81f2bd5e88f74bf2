-- What came with approvals by several people, plans approved ahead, freezes, words on one
-- leaver, and evidence.

-- expires_at: an approval is good until then. ahead: the plan was approved before its people
-- are due, and is good from valid_from. parent: the hold that its people were taken out of.
ALTER TABLE holds ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE holds ADD COLUMN ahead INTEGER NOT NULL DEFAULT 0;
ALTER TABLE holds ADD COLUMN valid_from BIGINT NOT NULL DEFAULT 0;
ALTER TABLE holds ADD COLUMN parent BIGINT NOT NULL DEFAULT 0;
UPDATE holds SET expires_at = decided_at + 86400000000 WHERE state = 'approved';

-- Who has approved a hold so far, each person once: by the address of their token or, if it
-- has none, its name. person is the name.
CREATE TABLE approvals (
	hold    BIGINT NOT NULL,
	address TEXT   NOT NULL,
	person  TEXT   NOT NULL,
	reason  TEXT   NOT NULL,
	at      BIGINT NOT NULL,
	PRIMARY KEY (hold, address)
);

-- A time in which nothing is closed without a person's word; account '': in all of them.
CREATE TABLE freezes (
	id       BIGINT NOT NULL PRIMARY KEY,
	account  TEXT   NOT NULL,
	until_at BIGINT NOT NULL,
	reason   TEXT   NOT NULL,
	made_at  BIGINT NOT NULL,
	made_by  TEXT   NOT NULL,
	ended_at BIGINT NOT NULL DEFAULT 0,
	ended_by TEXT   NOT NULL DEFAULT ''
);

-- brought_by: the person who brought the termination, where it was one. deferred_until: by a
-- person's word not due before. erased_at: when emails and names were erased.
ALTER TABLE entries ADD COLUMN brought_by TEXT NOT NULL DEFAULT '';
ALTER TABLE entries ADD COLUMN deferred_until BIGINT NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN erased_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX entries_erase ON entries (settled_at) WHERE settled_at > 0 AND erased_at = 0;

-- When the user last logged in, as Docusign said when last looked; 0: never, or not known.
ALTER TABLE memberships ADD COLUMN last_login BIGINT NOT NULL DEFAULT 0;
ALTER TABLE hold_users ADD COLUMN last_login BIGINT NOT NULL DEFAULT 0;

-- Whether the person was still held when the hold was decided: who had left it by then was not
-- decided on.
ALTER TABLE hold_users ADD COLUMN decided INTEGER NOT NULL DEFAULT 0;
UPDATE hold_users SET decided = 1 WHERE hold IN (SELECT id FROM holds WHERE state IN ('approved', 'rejected'));

-- What a look ahead found of an entry that waits, in one account: what would become of it.
-- users: the userIds of the open ones, a JSON list.
CREATE TABLE ahead (
	entry     BIGINT NOT NULL,
	account   TEXT   NOT NULL,
	outcome   TEXT   NOT NULL,
	kinds     TEXT   NOT NULL,
	detail    TEXT   NOT NULL,
	users     TEXT   NOT NULL DEFAULT '[]',
	looked_at BIGINT NOT NULL,
	PRIMARY KEY (entry, account)
);

-- What somebody asks for who wants to know what became of an event, or of one leaver.
CREATE INDEX keys_id ON keys (id);
CREATE INDEX cancels_event ON cancels (event_id);

-- The rows about holds and accounts: the same words as in sharedActions.
CREATE INDEX audit_shared ON audit (seq) WHERE action IN ('hold_approval', 'hold_approved', 'hold_rejected', 'hold_split', 'hold_expired',
	'account_parked', 'account_resumed');

CREATE INDEX holds_ahead ON holds (account, valid_from) WHERE ahead = 1;
