UPDATE @profiles AS p SET
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
    degraded = CASE WHEN u.changed & 8192 <> 0 THEN u.degraded ELSE p.degraded END,
    created_via = CASE WHEN u.changed & 16384 <> 0 THEN u.created_via ELSE p.created_via END,
    created_at = CASE WHEN u.changed & 32768 <> 0 THEN u.created_at ELSE p.created_at END,
    updated_at = CASE WHEN u.changed & 65536 <> 0 THEN u.updated_at ELSE p.updated_at END,
    version = CASE WHEN u.changed & 131072 <> 0 THEN u.version ELSE p.version END,
    deleted_at = CASE WHEN u.changed & 262144 <> 0 THEN u.deleted_at ELSE p.deleted_at END,
    linked_customer = CASE WHEN u.changed & 524288 <> 0 THEN u.linked_customer ELSE p.linked_customer END,
    attributes = CASE WHEN json_type(p.attributes) = 'object'
        THEN json_patch(json_patch(p.attributes, u.removed), u.put) ELSE p.attributes END
FROM (
    SELECT
        value ->> 0 AS profile_id,
        value ->> 1 AS changed,
        value ->> 2 AS user_id,
        value ->> 3 AS status,
        value ->> 4 AS is_active,
        value ->> 5 AS display_name,
        value ->> 6 AS email,
        value ->> 7 AS username,
        value ->> 8 AS first_name,
        value ->> 9 AS last_name,
        value ->> 10 AS full_name,
        value ->> 11 AS phone,
        value ->> 12 AS external_id,
        value ->> 13 AS organization_id,
        value ->> 14 AS customer_id,
        value ->> 15 AS degraded,
        value ->> 16 AS created_via,
        value ->> 17 AS created_at,
        value ->> 18 AS updated_at,
        value ->> 19 AS version,
        value ->> 20 AS deleted_at,
        value ->> 21 AS removed,
        value ->> 22 AS put,
        value ->> 23 AS linked_customer,
        value ->> 24 AS named
    FROM json_each(?1)
) AS u
WHERE p.profile_id = u.profile_id
