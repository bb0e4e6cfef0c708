INSERT INTO @ledger (source, event_id, user_id, key, new_key, type, time, states_time, sequence, position, backfill,
    content, data, outcome, reason, effects, degraded, policy_id, late, subject, stream_sequence, published_at,
    reduced, inputs)
SELECT u.source, u.event_id, u.user_id, u.key, u.new_key, u.type, u.time, u.states_time, u.sequence, u.position,
    u.backfill, u.content, u.data::json, u.outcome, u.reason, u.effects::json, u.degraded::json, u.policy_id, u.late,
    u.subject, u.stream_sequence, u.published_at, u.reduced, u.inputs::json
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::timestamptz[], $8::boolean[],
    $9::text[], $10::bytea[], $11::boolean[], $12::bytea[], $13::text[], $14::text[], $15::text[], $16::text[],
    $17::text[], $18::bigint[], $19::boolean[], $20::text[], $21::bigint[], $22::timestamptz[],
    $23::boolean[], $24::text[])
AS u (source, event_id, user_id, key, new_key, type, time, states_time, sequence, position, backfill, content, data,
    outcome, reason, effects, degraded, policy_id, late, subject, stream_sequence, published_at, reduced, inputs)
ON CONFLICT (source, event_id) DO NOTHING
