-- Every row that comes back is something that is not as it should be.
WITH expected (profile) AS (
    VALUES
        ('ada CUST-00001 Ada Moreau Active'),
        ('bea CUST-00002 Bea Active'),
        ('cas - Cas Nil Draft'),
        ('dan - Dan Early Draft'),
        ('eve CUST-00003 Eve Morrow Draft'),
        ('fay - Fay Draft')
),
found (profile) AS (
    SELECT concat_ws(' ', "user", coalesce(customer, '-'), client_name, profile_status) FROM "tabClient Profile"
),
letters (letter) AS (
    SELECT event_id || ' ' || reason FROM rollcall.dead_letters
)
SELECT 'missing client profile: ' || profile FROM (SELECT profile FROM expected EXCEPT SELECT profile FROM found) AS missing
UNION ALL
SELECT 'surplus client profile: ' || profile FROM (SELECT profile FROM found EXCEPT SELECT profile FROM expected) AS surplus
UNION ALL
SELECT 'client profile twice: ' || profile FROM found GROUP BY profile HAVING count(*) > 1
UNION ALL
SELECT 'player profiles are not those of ada and bea'
WHERE (SELECT coalesce(string_agg("user" || ' ' || profile_status, ',' ORDER BY "user"), '') FROM "tabPlayer Profile")
    <> 'ada Active,bea Active'
UNION ALL
SELECT 'unexpected dead letter: ' || letter
FROM letters
WHERE letter NOT IN ('hook-008 requirements_missing', 'hook-009 requirements_missing')
UNION ALL
SELECT 'dead letters: not two' WHERE (SELECT count(*) FROM letters) <> 2
UNION ALL
SELECT 'not resolved, or resolved without need: ' || event_id
FROM rollcall.dead_letters
WHERE (resolved_at IS NOT NULL) <> (event_id = 'hook-008')
UNION ALL
SELECT 'filled in, and not marked so: ' || user_id
FROM rollcall.profiles
WHERE (created_via = 'backfill') <> (user_id IN ('eve', 'fay'))
UNION ALL
SELECT 'stale in the cache: ' || cached.key
FROM erp_cache AS cached
LEFT JOIN "tabClient Profile" AS profile ON cached.key = 'Client Profile::' || profile."user"
WHERE cached.value IS DISTINCT FROM profile.client_name || ', ' || profile.profile_status
UNION ALL
SELECT 'cleared without need: ' || profile."user"
FROM "tabClient Profile" AS profile
WHERE profile."user" <> 'eve' AND NOT EXISTS (
    SELECT FROM erp_cache AS cached WHERE cached.key = 'Client Profile::' || profile."user"
);
