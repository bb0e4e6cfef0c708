SELECT id AS user_id, email, raw_user_meta_data AS metadata FROM auth.users ORDER BY created_at
