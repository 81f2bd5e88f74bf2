-- What came with several accounts, with the watch and with imports.

-- The first entry of the same leaving, where this is another of them; 0: this is the first.
ALTER TABLE entries ADD COLUMN split_from BIGINT NOT NULL DEFAULT 0;

-- A closed leaver is looked for again: when that was last done, and whether it
-- is over before its time. An entry that came of it has returned = 1.
ALTER TABLE entries ADD COLUMN watched_at BIGINT NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN watch_over INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entries ADD COLUMN returned INTEGER NOT NULL DEFAULT 0;
CREATE INDEX entries_watch ON entries (account, settled_at, watched_at)
	WHERE state IN ('closed', 'already_closed') AND watch_over = 0;
UPDATE entries SET watch_over = 1 WHERE EXISTS (SELECT 1 FROM entries later
	WHERE later.leaver = entries.leaver AND later.account = entries.account AND later.id > entries.id);

CREATE INDEX keys_entry ON keys (entry);

-- scim: an identity provider manages the user. note: what else there is to say of the outcome.
ALTER TABLE memberships ADD COLUMN scim INTEGER NOT NULL DEFAULT 0;
ALTER TABLE memberships ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE hold_users ADD COLUMN scim INTEGER NOT NULL DEFAULT 0;
CREATE INDEX memberships_user ON memberships (user_id) WHERE outcome = '';

-- A close request of an organization: one batch for each of its accounts. It is
-- written before the request is sent, and open until its results are taken over.
CREATE TABLE imports (
	id           BIGINT  NOT NULL PRIMARY KEY,
	organization TEXT    NOT NULL,
	docusign_id  TEXT    NOT NULL DEFAULT '',
	users        INTEGER NOT NULL,
	sent_at      BIGINT  NOT NULL,
	ended_at     BIGINT  NOT NULL DEFAULT 0,
	how          TEXT    NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX imports_open ON imports (organization) WHERE ended_at = 0;
ALTER TABLE batches ADD COLUMN import BIGINT NOT NULL DEFAULT 0;
CREATE INDEX batches_import ON batches (import);
