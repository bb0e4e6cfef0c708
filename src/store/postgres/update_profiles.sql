UPDATE @profiles p SET
    user_id = CASE WHEN u.changed & 1 <> 0 THEN u.user_id ELSE p.user_id END,
    status = CASE WHEN u.changed & 2 <> 0 THEN u.status ELSE p.status END,
    is_active = CASE WHEN u.changed & 4 <> 0 THEN u.is_active ELSE p.is_active END,
    display_name = CASE WHEN u.changed & 8 <> 0 AND (u.named IS NULL OR u.named = p.display_name)
        THEN u.display_name ELSE p.display_name END,
    email = CASE WHEN u.changed & 16 <> 0 THEN u.email ELSE p.email END,
    username = CASE WHEN u.changed & 32 <> 0 THEN u.username ELSE p.username END,
    first_name = CASE WHEN u.changed & 64 <> 0 THEN u.first_name ELSE p.first_name END,
    last_name = CASE WHEN u.changed & 128 <> 0 THEN u.last_name ELSE p.last_name END,
    full_name = CASE WHEN u.changed & 256 <> 0 THEN u.full_name ELSE p.full_name END,
    phone = CASE WHEN u.changed & 512 <> 0 THEN u.phone ELSE p.phone END,
    external_id = CASE WHEN u.changed & 1024 <> 0 THEN u.external_id ELSE p.external_id END,
    organization_id = CASE WHEN u.changed & 2048 <> 0 THEN u.organization_id ELSE p.organization_id END,
    customer_id = CASE WHEN u.changed & 4096 <> 0 THEN u.customer_id ELSE p.customer_id END,
    degraded = CASE WHEN u.changed & 8192 <> 0 THEN u.degraded::jsonb ELSE p.degraded END,
    created_via = CASE WHEN u.changed & 16384 <> 0 THEN u.created_via ELSE p.created_via END,
    created_at = CASE WHEN u.changed & 32768 <> 0 THEN u.created_at ELSE p.created_at END,
    updated_at = CASE WHEN u.changed & 65536 <> 0 THEN u.updated_at ELSE p.updated_at END,
    version = CASE WHEN u.changed & 131072 <> 0 THEN u.version ELSE p.version END,
    deleted_at = CASE WHEN u.changed & 262144 <> 0 THEN u.deleted_at ELSE p.deleted_at END,
    linked_customer = CASE WHEN u.changed & 524288 <> 0 THEN u.linked_customer ELSE p.linked_customer END,
    attributes = CASE WHEN jsonb_typeof(p.attributes) = 'object'
        THEN (p.attributes - ARRAY(SELECT jsonb_array_elements_text(u.unset::jsonb))) || u.put::jsonb
        ELSE p.attributes END
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::text[], $5::boolean[], $6::text[], $7::text[], $8::text[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::uuid[], $16::text[],
    $17::text[], $18::timestamptz[], $19::timestamptz[], $20::bigint[], $21::timestamptz[], $22::text[],
    $23::text[], $24::text[], $25::text[])
AS u (profile_id, changed, user_id, status, is_active, display_name, email, username, first_name, last_name,
    full_name, phone, external_id, organization_id, customer_id, degraded, created_via, created_at, updated_at,
    version, deleted_at, unset, put, linked_customer, named)
WHERE p.profile_id = u.profile_id
