INSERT INTO @keys (key, root, holder, person, state, newest, events)
SELECT
    value ->> 0,
    value ->> 1,
    value ->> 2,
    value ->> 3,
    value ->> 4,
    unhex(value ->> 5),
    value ->> 6
FROM jsonb_each(?1)
WHERE true
ON CONFLICT (key) DO UPDATE SET root = excluded.root, holder = excluded.holder, person = excluded.person,
    state = excluded.state, newest = excluded.newest, events = excluded.events
