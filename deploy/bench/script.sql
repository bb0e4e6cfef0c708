-- The plain script: the row changes of the mixed history, statement by statement for everybody at once.
BEGIN;
INSERT INTO rollcall.policies OVERRIDING SYSTEM VALUE SELECT * FROM aside.policies;
INSERT INTO rollcall.ledger SELECT * FROM aside.ledger;
INSERT INTO rollcall.keys SELECT * FROM aside.keys;
INSERT INTO rollcall.profiles SELECT * FROM aside.begun;
INSERT INTO rollcall.customers (customer_id, user_id, organization_id, created_at, updated_at, made_by_worker)
SELECT customer_id, first, organization, now(), now(), true FROM aside.members;
UPDATE rollcall.keys k SET state = a.state, newest = a.newest, events = a.events
FROM aside.keys a JOIN aside.touched t ON t.key = a.key WHERE k.key = a.key;
UPDATE rollcall.profiles p SET phone = '+493000000', updated_at = now(), version = version + 1
FROM (SELECT DISTINCT first FROM aside.people_updated) u WHERE p.user_id = u.first;
UPDATE rollcall.profiles p SET organization_id = m.organization, updated_at = now(), version = version + 1
FROM (SELECT DISTINCT ON (first) first, organization FROM aside.members) m WHERE p.user_id = m.first;
UPDATE rollcall.profiles p SET user_id = m.last, updated_at = now(), version = version + 1
FROM aside.people_moved m WHERE p.user_id = m.first;
UPDATE rollcall.customers c SET user_id = m.last, updated_at = now() FROM aside.people_moved m WHERE c.user_id = m.first;
DELETE FROM rollcall.profiles p USING aside.people_gone g WHERE p.user_id = g.first;
DELETE FROM rollcall.customers c USING aside.people_gone g WHERE c.user_id = g.first;
INSERT INTO rollcall.departed SELECT * FROM aside.departed;
DELETE FROM user_permissions t USING aside.people_gone g WHERE t."user" = g.first;
DELETE FROM notifications t USING aside.people_gone g WHERE t."user" = g.first;
DELETE FROM sessions t USING aside.people_gone g WHERE t."user" = g.first;
DELETE FROM documents t USING aside.people_gone g WHERE t."user" = g.first;
DELETE FROM comments t USING aside.people_gone g WHERE t."user" = g.first;
UPDATE user_permissions t SET "user" = m.last FROM aside.people_moved m WHERE t."user" = m.first;
UPDATE notifications t SET "user" = m.last FROM aside.people_moved m WHERE t."user" = m.first;
UPDATE sessions t SET "user" = m.last FROM aside.people_moved m WHERE t."user" = m.first;
UPDATE documents t SET "user" = m.last FROM aside.people_moved m WHERE t."user" = m.first;
UPDATE comments t SET "user" = m.last FROM aside.people_moved m WHERE t."user" = m.first;
COMMIT;
