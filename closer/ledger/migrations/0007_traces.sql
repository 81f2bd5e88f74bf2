-- What came with traces.

-- The W3C trace context that the word came with which the entry stands by, and that of
-- what could not be understood; '' for none.
ALTER TABLE entries ADD COLUMN trace_parent TEXT NOT NULL DEFAULT '';
ALTER TABLE rejects ADD COLUMN trace_parent TEXT NOT NULL DEFAULT '';

-- By which each scrape counts entries, without reading all that is in them.
CREATE INDEX entries_counts ON entries (state, account, due_at, returned, watch_over, settled_at);
