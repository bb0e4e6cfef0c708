INSERT INTO @keys (key, root, holder, person, state, newest, events)
SELECT * FROM unnest($1::text[], $2::text[], $3::smallint[], $4::uuid[], $5::text[], $6::bytea[], $7::bigint[])
ON CONFLICT (key) DO NOTHING
