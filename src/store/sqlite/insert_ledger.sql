INSERT INTO @ledger (source, event_id, user_id, key, new_key, type, time, states_time, sequence, position,
    backfill, content, data, outcome, reason, effects, degraded, policy_id, late, subject, stream_sequence,
    published_at, reduced, inputs)
SELECT
    value ->> 0,
    value ->> 1,
    value ->> 2,
    value ->> 3,
    value ->> 4,
    value ->> 5,
    value ->> 6,
    value ->> 7,
    value ->> 8,
    unhex(value ->> 9),
    value ->> 10,
    unhex(value ->> 11),
    value ->> 12,
    value ->> 13,
    value ->> 14,
    value ->> 15,
    value ->> 16,
    value ->> 17,
    value ->> 18,
    value ->> 19,
    value ->> 20,
    value ->> 21,
    value ->> 22,
    value ->> 23
FROM jsonb_each(?1)
WHERE true
ON CONFLICT (source, event_id) DO NOTHING
