-- What the plain script of the mixed history needs, made beside the measurement: who the people were at first (users who
-- have gone since get a row from their sign-up), and what happened to them. aside.people_* come from the history itself.
CREATE UNLOGGED TABLE aside.begun AS SELECT * FROM aside.profiles;
UPDATE aside.begun SET user_id = moved.first FROM aside.people_moved moved WHERE user_id = moved.last;
INSERT INTO aside.begun (profile_id, user_id, profile_type, status, is_active, display_name, email, username, first_name,
    last_name, full_name, phone, attributes, degraded, created_via, created_at, updated_at, version)
SELECT gen_random_uuid(), user_id, 'client', 'draft', true, data ->> 'full_name', data ->> 'email', data ->> 'username',
    data ->> 'first_name', data ->> 'last_name', data ->> 'full_name', data ->> 'phone', '{}', '[]', 'event', time, time, 1
FROM aside.ledger JOIN aside.people_gone gone ON gone.first = user_id WHERE type = 'user.created';

CREATE UNLOGGED TABLE aside.touched AS
SELECT first AS key FROM aside.people_updated UNION SELECT first FROM aside.people_joined
UNION SELECT first FROM aside.people_gone UNION SELECT first FROM aside.people_moved;
CREATE UNLOGGED TABLE aside.members AS
SELECT DISTINCT ON (first, organization) gen_random_uuid() AS customer_id, first, organization FROM aside.people_joined;
CREATE UNLOGGED TABLE IF NOT EXISTS aside.departed (LIKE rollcall.departed);
ANALYZE aside.begun, aside.ledger, aside.keys, aside.people_gone, aside.people_updated, aside.people_moved, aside.touched,
    aside.members;
