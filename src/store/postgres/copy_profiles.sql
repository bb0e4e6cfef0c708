COPY @profiles (profile_id, user_id, profile_type, status, is_active, display_name, email, username, first_name,
    last_name, full_name, phone, external_id, organization_id, customer_id, attributes, degraded, created_via,
    created_at, updated_at, version, deleted_at, linked_customer)
FROM STDIN (FORMAT binary)
