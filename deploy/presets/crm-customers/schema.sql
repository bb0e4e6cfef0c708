-- What the application had before: its two tables, under their old names and columns, now views over those of Rollcall,
-- so that its own queries keep working.
CREATE SCHEMA crm;

CREATE VIEW crm.profiles AS
SELECT
    profile_id AS id,
    user_id,
    profile_type,
    organization_id,
    status,
    is_active,
    created_at,
    updated_at
FROM rollcall.profiles
WHERE deleted_at IS NULL;

CREATE VIEW crm.customers AS
SELECT
    customer_id AS id,
    user_id,
    organization_id,
    profile_id,
    created_at,
    updated_at
FROM rollcall.customers
WHERE deleted_at IS NULL AND user_id <> '';

-- A customer whom the old code left without a profile.
INSERT INTO rollcall.customers (customer_id, user_id, organization_id, created_at, updated_at)
VALUES ('1e0acade-0000-4000-8000-000000000001', 'leo', 'acme', '2019-05-01T08:00:00Z', '2019-05-01T08:00:00Z');
