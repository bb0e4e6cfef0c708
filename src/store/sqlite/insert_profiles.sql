INSERT INTO @profiles (profile_id, user_id, profile_type, status, is_active, display_name, email, username,
    first_name, last_name, full_name, phone, external_id, organization_id, customer_id, attributes, degraded,
    created_via, created_at, updated_at, version, deleted_at, linked_customer)
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
    value ->> 9,
    value ->> 10,
    value ->> 11,
    value ->> 12,
    value ->> 13,
    value ->> 14,
    value ->> 15,
    value ->> 16,
    value ->> 17,
    value ->> 18,
    value ->> 19,
    value ->> 20,
    value ->> 21,
    value ->> 22
FROM jsonb_each(?1)
WHERE true
