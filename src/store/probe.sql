-- Touches every table and column that the worker writes, and changes one row of our own. Rows of the public tables are
-- not made up: a constraint of the application would refuse them, and the brake would hold for ever.
INSERT INTO @keys (key, root, holder, person, state, newest, events)
SELECT key, root, holder, person, state, newest, events
FROM @keys WHERE false
ON CONFLICT (key) DO UPDATE SET root = excluded.root;
INSERT INTO @departed (person, key, state)
SELECT person, key, state
FROM @departed WHERE false
ON CONFLICT (person) DO UPDATE SET key = excluded.key;
DELETE FROM @departed WHERE false;
INSERT INTO @policies (hash, body, created_at)
SELECT hash, body, created_at
FROM @policies WHERE false
ON CONFLICT (hash) DO NOTHING;
SELECT policy_id FROM @policies WHERE false;
INSERT INTO @checkpoints (root, position, events, state)
SELECT root, position, events, state
FROM @checkpoints WHERE false
ON CONFLICT (root, position) DO UPDATE SET state = excluded.state;
DELETE FROM @checkpoints WHERE false;
INSERT INTO @ledger (source, event_id, user_id, key, new_key, type, time, states_time, sequence, position, backfill,
    content, data, outcome, reason, effects, degraded, policy_id, late, subject, stream_sequence, published_at,
    applied_at, reduced)
SELECT source, event_id, user_id, key, new_key, type, time, states_time, sequence, position, backfill, content, data,
    outcome, reason, effects, degraded, policy_id, late, subject, stream_sequence, published_at, applied_at, reduced
FROM @ledger WHERE false
ON CONFLICT (source, event_id) DO NOTHING;
UPDATE @ledger SET outcome = outcome, cascades = cascades, inputs = inputs WHERE false;
INSERT INTO @profiles (profile_id, user_id, profile_type, status, is_active, display_name, email, username,
    first_name, last_name, full_name, phone, external_id, organization_id, customer_id, attributes, degraded,
    created_via, created_at, updated_at, version, deleted_at)
SELECT profile_id, user_id, profile_type, status, is_active, display_name, email, username, first_name, last_name,
    full_name, phone, external_id, organization_id, customer_id, attributes, degraded, created_via, created_at,
    updated_at, version, deleted_at
FROM @profiles WHERE false;
UPDATE @profiles SET user_id = user_id, linked_customer = linked_customer WHERE false;
DELETE FROM @profiles WHERE false;
INSERT INTO @customers (customer_id, user_id, organization_id, profile_id, name, email, created_at, updated_at,
    deleted_at)
SELECT customer_id, user_id, organization_id, profile_id, name, email, created_at, updated_at, deleted_at
FROM @customers WHERE false;
UPDATE @customers SET user_id = user_id, made_by_worker = made_by_worker WHERE false;
DELETE FROM @customers WHERE false;
INSERT INTO @dead_letters (message_id, reason, stream_sequence, source, event_id, error, created_at, resolved_at)
SELECT message_id, reason, stream_sequence, source, event_id, error, created_at, resolved_at
FROM @dead_letters WHERE false
ON CONFLICT (message_id) DO UPDATE SET resolved_at = NULL;
INSERT INTO @outbox (message_id, subject, headers, payload, created_at)
SELECT message_id, subject, headers, payload, created_at
FROM @outbox WHERE false
ON CONFLICT (message_id) DO NOTHING;
DELETE FROM @outbox WHERE false AND outbox_id = 0;
INSERT INTO @cascade_work (step, value, ending, target, events, rows_done, error, retry_at, created_at)
SELECT step, value, ending, target, events, rows_done, error, retry_at, created_at
FROM @cascade_work WHERE false;
UPDATE @cascade_work SET rows_done = rows_done WHERE false;
DELETE FROM @cascade_work WHERE false AND work_id = 0;
INSERT INTO @announcements (message_id, subject, headers, payload, created_at)
SELECT message_id, subject, headers, payload, created_at
FROM @announcements WHERE false
ON CONFLICT (message_id) DO NOTHING;
DELETE FROM @announcements WHERE false AND outbox_id = 0;
INSERT INTO @mails (source, event_id, kind, key, person, secret, attempts, error, ordered_at, next_at, tried_at,
    sent_at, given_up_at)
SELECT source, event_id, kind, key, person, secret, attempts, error, ordered_at, next_at, tried_at, sent_at,
    given_up_at
FROM @mails WHERE false
ON CONFLICT (source, event_id, kind) DO NOTHING;
UPDATE @mails SET next_at = next_at, person = person WHERE false;
INSERT INTO @retries (message_id, stream, stream_sequence, published_nanos, message, payload, type, attempts, judged,
    in_hand, life, held, deaths, next_at, created_at)
SELECT message_id, stream, stream_sequence, published_nanos, message, payload, type, attempts, judged, in_hand, life,
    held, deaths, next_at, created_at
FROM @retries WHERE false
ON CONFLICT (message_id) DO UPDATE SET next_at = excluded.next_at;
DELETE FROM @retries WHERE false;
INSERT INTO @holds (type, since, probe_at)
SELECT type, since, probe_at
FROM @holds WHERE false
ON CONFLICT (type) DO UPDATE SET probe_at = excluded.probe_at;
DELETE FROM @holds WHERE false;
INSERT INTO @suspects (message_id, life, company, deaths, noted_at)
SELECT message_id, life, company, deaths, noted_at
FROM @suspects WHERE false
ON CONFLICT (message_id) DO UPDATE SET life = excluded.life;
DELETE FROM @suspects WHERE false;
INSERT INTO @heartbeat AS h (only_row, beats) VALUES (1, 1)
ON CONFLICT (only_row) DO UPDATE SET beats = h.beats + 1;
