UPDATE @customers c SET
    user_id = CASE WHEN u.changed & 1 <> 0 THEN u.user_id ELSE c.user_id END,
    profile_id = CASE WHEN u.changed & 2 <> 0 THEN u.profile_id
        -- Who joins again heals what somebody took away.
        WHEN u.changed & 32 <> 0 THEN coalesce(c.profile_id, u.profile_id) ELSE c.profile_id END,
    name = CASE WHEN u.changed & 4 <> 0 THEN u.name ELSE c.name END,
    email = CASE WHEN u.changed & 8 <> 0 THEN u.email ELSE c.email END,
    created_at = CASE WHEN u.changed & 16 <> 0 THEN u.created_at ELSE c.created_at END,
    updated_at = CASE WHEN u.changed & 32 <> 0 THEN u.updated_at ELSE c.updated_at END,
    deleted_at = CASE WHEN u.changed & 64 <> 0 THEN u.deleted_at ELSE c.deleted_at END
FROM unnest($1::uuid[], $2::int[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::timestamptz[],
    $8::timestamptz[], $9::timestamptz[])
AS u (customer_id, changed, user_id, profile_id, name, email, created_at, updated_at, deleted_at)
WHERE c.customer_id = u.customer_id
    -- A row of the application becomes somebody's only while it is nobody else's.
    AND (u.changed & 128 = 0 OR c.user_id = '' OR c.user_id = u.user_id)
