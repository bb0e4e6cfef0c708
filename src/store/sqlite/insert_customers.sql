INSERT INTO @customers (customer_id, user_id, organization_id, profile_id, name, email, created_at, updated_at,
    deleted_at, made_by_worker)
SELECT
    value ->> 0,
    value ->> 1,
    value ->> 2,
    value ->> 3,
    value ->> 4,
    value ->> 5,
    value ->> 6,
    value ->> 7,
    value ->> 8,
    1
FROM json_each(?1)
WHERE true
