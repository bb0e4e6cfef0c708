INSERT INTO @ledger (source, event_id, user_id, key, new_key, type, time, states_time, sequence, position, backfill,
    content, data, outcome, reason, effects, degraded, policy_id, late, subject, stream_sequence, published_at,
    reduced, inputs)
SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::text[]),
    unnest($6::text[]), unnest($7::timestamptz[]), unnest($8::boolean[]), unnest($9::text[]), unnest($10::bytea[]),
    unnest($11::boolean[]), unnest($12::bytea[]), unnest($13::text[])::json, unnest($14::text[]), unnest($15::text[]),
    unnest($16::text[])::json, unnest($17::text[])::json, unnest($18::bigint[]), unnest($19::boolean[]),
    unnest($20::text[]), unnest($21::bigint[]), unnest($22::timestamptz[]), unnest($23::boolean[]),
    unnest($24::text[])::json
