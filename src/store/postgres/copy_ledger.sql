COPY @ledger (source, event_id, user_id, key, new_key, type, time, states_time, sequence, position, backfill, content,
    data, outcome, reason, effects, degraded, policy_id, late, subject, stream_sequence, published_at, reduced, inputs)
FROM STDIN (FORMAT binary)
