INSERT INTO @profiles (profile_id, user_id, profile_type, status, is_active, display_name, email, username, first_name,
    last_name, full_name, phone, external_id, organization_id, customer_id, attributes, degraded, created_via,
    created_at, updated_at, version, deleted_at, linked_customer)
SELECT u.profile_id, u.user_id, u.profile_type, u.status, u.is_active, u.display_name, u.email, u.username,
    u.first_name, u.last_name, u.full_name, u.phone, u.external_id, u.organization_id, u.customer_id,
    u.attributes::jsonb, u.degraded::jsonb, u.created_via, u.created_at, u.updated_at, u.version, u.deleted_at,
    u.linked_customer
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::uuid[], $16::text[], $17::text[],
    $18::text[], $19::timestamptz[], $20::timestamptz[], $21::bigint[], $22::timestamptz[], $23::text[])
AS u (profile_id, user_id, profile_type, status, is_active, display_name, email, username, first_name, last_name,
    full_name, phone, external_id, organization_id, customer_id, attributes, degraded, created_via, created_at,
    updated_at, version, deleted_at, linked_customer)
