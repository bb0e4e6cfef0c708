-- Every row that comes back is something that is not as it should be.
WITH expected (profile) AS (
    VALUES
        ('01 ada@lovelace.example Countess manager ["reports"] auth_trigger'),
        ('02 ben@example.com ben@example.com user [] auth_trigger'),
        ('03 cas@example.com Cas user [] manual_fix'),
        ('04 dan@example.com dan@example.com user [] manual_fix'),
        ('05 eve@example.com Eve user [] manual_fix')
),
found (profile) AS (
    SELECT concat_ws(' ', right(user_id, 2), email, display_name, role, permissions::text, created_via)
    FROM user_profiles
)
SELECT 'missing: ' || profile FROM (SELECT profile FROM expected EXCEPT SELECT profile FROM found) AS missing
UNION ALL
SELECT 'surplus: ' || profile FROM (SELECT profile FROM found EXCEPT SELECT profile FROM expected) AS surplus
UNION ALL
SELECT 'twice: ' || profile FROM found GROUP BY profile HAVING count(*) > 1
UNION ALL
SELECT 'not as a new profile begins: ' || user_id
FROM user_profiles
WHERE NOT is_active OR is_admin OR is_super_admin OR department <> 'General' OR access_level <> 'basic'
UNION ALL
SELECT 'a machine has a profile: ' || user_id FROM user_profiles WHERE user_id LIKE 'b%'
UNION ALL
SELECT 'dead letter: ' || reason FROM rollcall.dead_letters;
