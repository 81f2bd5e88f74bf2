-- What came with the publishing of outcomes.

-- How far each sink has published: the number of the last row of the audit that is behind it.
CREATE TABLE cursors (
	sink     TEXT   NOT NULL PRIMARY KEY,
	seq      BIGINT NOT NULL,
	moved_at BIGINT NOT NULL
);

-- The rows that sinks are given: the same words as in outcomeActions.
CREATE INDEX audit_outcomes ON audit (seq) WHERE action IN ('closed', 'already_closed', 'not_found', 'cancelled', 'skipped',
	'rejected', 'failed', 'held', 'returned', 'reopen_proposed', 'reopen_sent', 'reopen_failed', 'reject', 'account_parked', 'account_resumed');
