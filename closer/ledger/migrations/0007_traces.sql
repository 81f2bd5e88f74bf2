-- What came with traces.

-- The W3C trace context that the word came with which the entry stands by; '' for none.
ALTER TABLE entries ADD COLUMN trace TEXT NOT NULL DEFAULT '';
