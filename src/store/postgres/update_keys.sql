UPDATE @keys k SET
    root = u.root,
    holder = u.holder,
    person = u.person,
    state = u.state,
    newest = u.newest,
    events = u.events
FROM unnest($1::text[], $2::text[], $3::smallint[], $4::uuid[], $5::text[], $6::bytea[], $7::bigint[])
    AS u (key, root, holder, person, state, newest, events)
WHERE k.key = u.key
