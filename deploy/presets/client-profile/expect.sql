-- Every row that comes back is something that is not as it should be.
WITH expected (profile) AS (
    VALUES
        ('ada CUST-00001 Ada Moreau Active'),
        ('bea CUST-00002 Bea Draft'),
        ('cas - Cas Nil Draft'),
        ('dan - Dan Early Draft')
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
SELECT 'player profiles are not that of ada alone'
WHERE (SELECT coalesce(string_agg("user" || ' ' || profile_status, ','), '') FROM "tabPlayer Profile") <> 'ada Active'
UNION ALL
SELECT 'unexpected dead letter: ' || letter
FROM letters
WHERE letter NOT IN ('hook-008 requirements_missing', 'hook-009 requirements_missing')
UNION ALL
SELECT 'dead letters: not two' WHERE (SELECT count(*) FROM letters) <> 2;
