-- Who should be heard from, by the config, and the replay of rejects.

-- A source that the config names: since when, and when something last came from it.
CREATE TABLE sources (
	source   TEXT   NOT NULL PRIMARY KEY,
	since    BIGINT NOT NULL,
	heard_at BIGINT NOT NULL DEFAULT 0
);

-- A replay asks which other rejects of the same payload there are.
CREATE INDEX rejects_event ON rejects (event_id, event_source, origin);

-- Those whom no account knew, by when that was found.
CREATE INDEX entries_not_found ON entries (settled_at) WHERE state = 'not_found';
