INSERT INTO @keys (key, root, holder, person, state, newest, events)
SELECT unnest($1::text[]), unnest($2::text[]), unnest($3::smallint[]), unnest($4::uuid[]), unnest($5::text[]),
    unnest($6::bytea[]), unnest($7::bigint[])
ON CONFLICT (key) DO NOTHING
