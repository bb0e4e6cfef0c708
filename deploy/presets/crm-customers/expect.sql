-- Every row that comes back is something that is not as it should be.
WITH expected (profile) AS (
    VALUES
        ('leo customer acme active'),
        ('mia customer book active'),
        ('mia vendor supply active'),
        ('noa customer acme active'),
        ('sam customer acme active'),
        ('vic customer acme active'),
        ('vic vendor supply active')
),
found (profile) AS (
    SELECT concat_ws(' ', user_id, profile_type, organization_id, status) FROM crm.profiles
),
customers (customer) AS (
    VALUES ('leo acme'), ('mia acme'), ('mia book'), ('noa acme'), ('sam acme'), ('sam book'), ('vic acme')
),
found_customers (customer) AS (
    SELECT concat_ws(' ', c.user_id, c.organization_id)
    FROM crm.customers c JOIN crm.profiles p ON p.id = c.profile_id AND p.user_id = c.user_id
    WHERE p.profile_type = 'customer'
)
SELECT 'missing profile: ' || profile FROM (SELECT profile FROM expected EXCEPT SELECT profile FROM found) AS missing
UNION ALL
SELECT 'surplus profile: ' || profile FROM (SELECT profile FROM found EXCEPT SELECT profile FROM expected) AS surplus
UNION ALL
SELECT 'profile twice: ' || profile FROM found GROUP BY profile HAVING count(*) > 1
UNION ALL
SELECT 'missing customer: ' || customer
FROM (SELECT customer FROM customers EXCEPT SELECT customer FROM found_customers) AS missing
UNION ALL
SELECT 'surplus customer: ' || customer
FROM (SELECT customer FROM found_customers EXCEPT SELECT customer FROM customers) AS surplus
UNION ALL
SELECT 'customer row of leo was made anew' WHERE NOT EXISTS (
    SELECT 1 FROM crm.customers WHERE id = '1e0acade-0000-4000-8000-000000000001' AND profile_id IS NOT NULL
)
UNION ALL
SELECT 'dead letter: ' || reason FROM rollcall.dead_letters;
