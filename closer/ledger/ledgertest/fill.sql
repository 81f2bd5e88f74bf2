-- fill has how many leavers there are to be, and what time it is. What is random about them
-- comes of their numbers, so that it is the same each time.

CREATE TEMP TABLE given (i INTEGER PRIMARY KEY, name TEXT);
INSERT INTO given (name) VALUES ('Ana'), ('Bea'), ('Chloé'), ('Dan'), ('Élodie'), ('Finn'), ('Grace'), ('Hugo'), ('Ida'), ('José'), ('Kim'), ('Liam'),
	('Maria'), ('Nadia'), ('Omar'), ('Paul'), ('Qi'), ('Rosa'), ('Søren'), ('Tara'), ('Uma'), ('Viktor'), ('Wei'), ('Ximena'), ('Yusuf'), ('Zoë'), ('Ольга'), ('李');
CREATE TEMP TABLE family (i INTEGER PRIMARY KEY, name TEXT);
INSERT INTO family (name) VALUES ('Alves'), ('Bauer'), ('Castro'), ('Dubois'), ('Evans'), ('Ferreira'), ('García'), ('Hansen'), ('Ivanova'), ('Jones'),
	('Kowalski'), ('López'), ('Müller'), ('Nakamura'), ('O''Brien'), ('Pereira'), ('Quinn'), ('Rossi'), ('Silva'), ('Tanaka'), ('Usman'), ('van der Berg'),
	('Wang'), ('Xu'), ('Young'), ('Zhang'), ('Ångström'), ('Öztürk'), ('d''Angelo'), ('Smith'), ('Smithers');

CREATE TEMP TABLE person AS
	WITH RECURSIVE numbers(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM numbers, fill WHERE i < n),
	-- r: 0 to 99999, spread; age: of the word, in seconds: up to 30 days
	random(i, r, age) AS (SELECT i, (i * 48271) % 99991, 2592000 - i * 2592000 / n FROM numbers, fill)
	SELECT i, r, now - age * 1000000 - 1 AS at, now,
		CASE WHEN r < 5000 THEN 'held' WHEN r < 5300 THEN 'due' WHEN r < 6800 THEN 'waiting' WHEN r < 6900 THEN 'submitted' WHEN r < 6950 THEN 'failed'
			WHEN r < 9950 THEN 'already_closed' WHEN r < 11950 THEN 'not_found' WHEN r < 13450 THEN 'cancelled' WHEN r < 13750 THEN 'skipped' ELSE 'closed' END AS state,
		-- from due until settled, in microseconds: mostly minutes, some hours, a few days
		CASE WHEN r % 100 < 80 THEN 30 + r % 600 WHEN r % 100 < 98 THEN 600 + r % 20000 ELSE 90000 + r % 200000 END * 1000000 AS took,
		r % 50 = 7 AS urgent, r % 100 = 11 AS erased,
		(SELECT name FROM given WHERE given.i = 1 + r % 28) AS given, (SELECT name FROM family WHERE family.i = 1 + (r / 28) % 31) AS family,
		CASE r % 3 WHEN 0 THEN '11111111-1111-1111-1111-111111111111' WHEN 1 THEN '22222222-2222-2222-2222-222222222222' ELSE '33333333-3333-3333-3333-333333333333' END AS account
	FROM random, fill;

INSERT INTO entries (id, leaver, account, state, emails, employee_id, source, origin, given_name, family_name, legal_entity, department, urgent, returned,
		word_at, effective_at, due_at, received_at, hold, held_at, reason, next_at, sent_at, settled_at, erased_at)
	SELECT i, CASE WHEN gone THEN 'erased ' || i ELSE 'person' || i || '@example.com' END, CASE state WHEN 'waiting' THEN '' ELSE account END, state,
		CASE WHEN gone THEN '[]' WHEN r % 10 = 3 THEN json_array('person' || i || '@example.com', 'p' || i || '@example.org') ELSE json_array('person' || i || '@example.com') END,
		'E-' || i, 'https://hr.example.com', '/events', CASE WHEN gone THEN '' ELSE given END, CASE WHEN gone THEN '' ELSE family END, 'Example Ltd', 'Sales', urgent,
		state = 'held' AND r % 100 = 50, at, at, CASE state WHEN 'waiting' THEN now + r * 1000000 ELSE at END, at,
		CASE WHEN state = 'held' THEN 1 + r / 4900 * (r - 4899) ELSE 0 END, CASE state WHEN 'held' THEN at ELSE 0 END,
		CASE state WHEN 'held' THEN 'limit' WHEN 'failed' THEN 'user_is_admin' ELSE '' END, CASE state WHEN 'failed' THEN now + 3600000000 ELSE 0 END,
		CASE WHEN state IN ('closed', 'submitted') THEN at + took / 2 ELSE 0 END,
		CASE WHEN state IN ('held', 'due', 'waiting', 'submitted', 'failed') THEN 0 ELSE MIN(at + took, now) END, CASE WHEN gone THEN now ELSE 0 END
	FROM (SELECT *, erased AND state NOT IN ('held', 'due', 'waiting', 'submitted', 'failed') AS gone FROM person);

INSERT INTO identities (kind, value, leaver, said)
	SELECT CASE a.key WHEN 0 THEN 'email' ELSE 'other' END, a.value, e.leaver, e.word_at FROM entries e, json_each(e.emails) a;
INSERT INTO identities (kind, value, origin, source, leaver, said)
	SELECT 'employee', employee_id, origin, source, leaver, word_at FROM entries WHERE erased_at = 0;
INSERT INTO keys (origin, source, id, hash, entry, received_at) SELECT origin, source, 'evt-' || id, 'hash', id, received_at FROM entries;

INSERT INTO memberships (entry, user_id, email, batch, outcome, settled_at)
	SELECT id, 'user-' || id, CASE WHEN erased_at > 0 THEN '' ELSE leaver END, 1 + id / 100, CASE state WHEN 'submitted' THEN '' WHEN 'failed' THEN '' ELSE state END, settled_at
	FROM entries WHERE state IN ('closed', 'already_closed', 'submitted', 'failed');
INSERT INTO batches (id, account, users, sent_at, answered_at, result) SELECT batch, '11111111-1111-1111-1111-111111111111', COUNT(*), 1, 1, 'ok' FROM memberships GROUP BY batch;

-- A hold of nearly all who are held, some of one person, and some that were decided.
INSERT INTO holds (id, account, kinds, state, detail, digest, created_at)
	SELECT hold, '11111111-1111-1111-1111-111111111111', CASE WHEN hold = 1 THEN 'limit' WHEN hold % 3 = 0 THEN 'protected' WHEN hold % 3 = 1 THEN 'ambiguous' ELSE 'returned' END,
		'open', 'why', 'digest', MIN(held_at) FROM entries WHERE state = 'held' GROUP BY hold;
INSERT INTO hold_users (hold, entry, user_id, email) SELECT hold, id, 'user-' || id, leaver FROM entries WHERE state = 'held';
INSERT INTO holds (id, account, kinds, state, detail, digest, created_at, decided_at, decided_by, reason)
	SELECT 1000 + id, account, 'protected', CASE id % 3 WHEN 0 THEN 'rejected' ELSE 'approved' END, 'why', 'digest', due_at, settled_at, 'alice', 'checked'
	FROM entries WHERE state = 'closed' AND id % 50 = 0;
INSERT INTO hold_users (hold, entry, user_id, email, decided) SELECT 1000 + id, id, 'user-' || id, '', 1 FROM entries WHERE state = 'closed' AND id % 50 = 0;

INSERT INTO rejects (id, fingerprint, source, origin, event_source, event_id, position, reason, detail, payload, size, hash, state, received_at, last_at)
	SELECT i, 'f' || i, 'webhook', '/events', 'https://hr.example.com', 'bad-' || i, '', 'no_email', 'email: missing', CAST('{}' AS BLOB), 2, 'hash',
		CASE WHEN i % 4 = 0 THEN 'open' ELSE 'discarded' END, at, at FROM person WHERE i <= (SELECT n / 100 FROM fill);

-- What each step would have put on record.
INSERT INTO audit (seq, at, action, entry, actor, facts, personal, prev, hash)
	SELECT ROW_NUMBER() OVER (ORDER BY at, entry), at, action, entry, '', '{"account":"11111111-1111-1111-1111-111111111111"}', '{}', '', lower(hex(randomblob(32)))
	FROM (SELECT received_at AS at, 'terminated' AS action, id AS entry FROM entries UNION ALL SELECT due_at, 'due', id FROM entries WHERE state <> 'waiting'
		UNION ALL SELECT sent_at, 'submitted', id FROM entries WHERE sent_at > 0 UNION ALL SELECT settled_at, state, id FROM entries WHERE settled_at > 0
		UNION ALL SELECT due_at, state, id FROM entries WHERE state IN ('held', 'failed'));

INSERT INTO accounts (account, passed_at, hour_limit, hour_remaining, hour_reset_at, next_at)
	SELECT DISTINCT account, (SELECT now - 60000000 FROM fill), 3000, 2100, (SELECT now + 1200000000 FROM fill), (SELECT now + 240000000 FROM fill) FROM person;
INSERT INTO facts (name, value) VALUES ('reading', '{"state":"up_to_date","since":"2026-11-01T00:00:00Z"}') ON CONFLICT (name) DO UPDATE SET value = excluded.value;
