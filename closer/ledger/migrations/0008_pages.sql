-- What came with the pages that people work in.

-- When the closer will next run in the account; 0: not known.
ALTER TABLE accounts ADD COLUMN next_at BIGINT NOT NULL DEFAULT 0;

-- By which entries are listed and counted, whatever is asked of them, without reading all
-- that is in them.
CREATE INDEX entries_list ON entries (state, id, account, urgent, returned, due_at, received_at, settled_at, effective_at);
CREATE INDEX entries_settled ON entries (settled_at, state, due_at);
CREATE INDEX entries_held ON entries (hold, id) WHERE state = 'held';
CREATE INDEX entries_urgent ON entries (state, id, held_at) WHERE urgent = 1;

-- By which people are searched for.
CREATE INDEX entries_family ON entries (family_name COLLATE NOCASE) WHERE family_name <> '';
CREATE INDEX entries_given ON entries (given_name COLLATE NOCASE) WHERE given_name <> '';
CREATE INDEX entries_employee ON entries (employee_id) WHERE employee_id <> '';
CREATE INDEX memberships_of ON memberships (user_id);
CREATE INDEX hold_users_of ON hold_users (user_id);

-- When Docusign refused somebody for good.
CREATE INDEX audit_failed ON audit (at) WHERE action = 'failed';
