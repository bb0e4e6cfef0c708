-- The users as the authentication server keeps them; what is in the other columns is nobody's business.
CREATE SCHEMA auth;
CREATE TABLE auth.users (
    id uuid PRIMARY KEY,
    email varchar(255) UNIQUE,
    encrypted_password varchar(255),
    raw_user_meta_data jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Five people, and two accounts of machines that are to have no profile.
INSERT INTO auth.users (id, email, encrypted_password, raw_user_meta_data, created_at) VALUES
    ('a0000000-0000-4000-8000-000000000001', 'ada@example.com', '$2a$10$', '{"display_name": "Ada"}', '2026-01-05'),
    ('a0000000-0000-4000-8000-000000000002', 'ben@example.com', '$2a$10$', '{}', '2026-01-06'),
    ('a0000000-0000-4000-8000-000000000003', 'cas@example.com', '$2a$10$', '{"display_name": "Cas"}', '2026-01-07'),
    ('a0000000-0000-4000-8000-000000000004', 'dan@example.com', '$2a$10$', '{}', '2026-01-08'),
    ('a0000000-0000-4000-8000-000000000005', 'eve@example.com', '$2a$10$', '{"display_name": "Eve"}', '2026-01-09'),
    ('b0000000-0000-4000-8000-000000000001', 'robot@example.com', '$2a$10$', '{}', '2026-01-02'),
    ('b0000000-0000-4000-8000-000000000002', 'probe@example.com', '$2a$10$', '{}', '2026-01-02');

-- The table that the trigger filled, under its old name and columns.
CREATE VIEW user_profiles AS
SELECT
    profile_id AS id,
    user_id,
    email,
    display_name,
    attributes ->> 'role' AS role,
    attributes ->> 'department' AS department,
    is_active,
    (attributes ->> 'is_admin')::boolean AS is_admin,
    (attributes ->> 'is_super_admin')::boolean AS is_super_admin,
    attributes -> 'permissions' AS permissions,
    attributes ->> 'access_level' AS access_level,
    attributes ->> 'created_via' AS created_via,
    created_at,
    updated_at
FROM rollcall.profiles
WHERE profile_type = 'user' AND deleted_at IS NULL;

-- What people edit goes where it belongs: to the columns that are the application's.
CREATE FUNCTION user_profiles_edited() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE rollcall.profiles
    SET
        display_name = NEW.display_name,
        is_active = NEW.is_active,
        attributes = attributes || jsonb_build_object(
            'role', NEW.role,
            'department', NEW.department,
            'is_admin', NEW.is_admin,
            'is_super_admin', NEW.is_super_admin,
            'permissions', NEW.permissions,
            'access_level', NEW.access_level,
            'created_via', NEW.created_via
        )
    WHERE profile_id = OLD.id;
    RETURN NEW;
END
$$;
CREATE TRIGGER edited INSTEAD OF UPDATE ON user_profiles FOR EACH ROW EXECUTE FUNCTION user_profiles_edited();
