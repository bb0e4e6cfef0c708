INSERT INTO @profiles (profile_id, user_id, profile_type, status, is_active, display_name, email, username, first_name,
    last_name, full_name, phone, external_id, organization_id, customer_id, attributes, degraded, created_via,
    created_at, updated_at, version, deleted_at, linked_customer)
SELECT unnest($1::uuid[]), unnest($2::text[]), unnest($3::text[]), unnest($4::text[]), unnest($5::boolean[]),
    unnest($6::text[]), unnest($7::text[]), unnest($8::text[]), unnest($9::text[]), unnest($10::text[]),
    unnest($11::text[]), unnest($12::text[]), unnest($13::text[]), unnest($14::text[]), unnest($15::uuid[]),
    unnest($16::text[])::jsonb, unnest($17::text[])::jsonb, unnest($18::text[]), unnest($19::timestamptz[]),
    unnest($20::timestamptz[]), unnest($21::bigint[]), unnest($22::timestamptz[]), unnest($23::text[])
