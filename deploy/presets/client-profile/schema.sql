-- The ERP's table of customers, and the index that the look for an address wants.
CREATE TABLE "tabCustomer" (
    "name" varchar(140) PRIMARY KEY,
    customer_name varchar(140),
    email_id varchar(140),
    mobile_no varchar(140),
    creation timestamp NOT NULL DEFAULT now()
);
CREATE INDEX ON "tabCustomer" (lower(email_id));

INSERT INTO "tabCustomer" ("name", customer_name, email_id, mobile_no) VALUES
    ('CUST-00001', 'Moreau & Filles', 'Ada@Moreau.example', '+33 1 00 00 00 01'),
    ('CUST-00002', 'Bell Works', 'bea@bell.example', NULL),
    ('CUST-00003', 'Nobody yet', 'later@nobody.example', '+33 1 00 00 00 03');

-- The ERP's table of users; those of before Rollcall are filled in from it.
CREATE TABLE "tabUser" (
    "name" varchar(140) PRIMARY KEY,
    email varchar(140),
    full_name varchar(140),
    first_name varchar(140)
);

INSERT INTO "tabUser" ("name", email, full_name, first_name) VALUES
    ('Administrator', 'admin@example.com', 'Administrator', 'Administrator'),
    ('Guest', 'guest@example.com', 'Guest', 'Guest'),
    ('ada', 'ada@moreau.example', 'Ada Moreau', 'Ada'),
    ('bea', 'bea@bell.example', NULL, 'Bea'),
    ('cas', 'cas@nowhere.example', 'Cas Nil', 'Cas'),
    ('eve', 'later@nobody.example', 'Eve Later', 'Eve'),
    ('fay', 'fay@nowhere.example', NULL, 'Fay');

-- Stands for the ERP's cache, which is no table there.
CREATE TABLE erp_cache (key text PRIMARY KEY, value text NOT NULL);

-- The table that the hook filled, under its old name and columns.
CREATE VIEW "tabClient Profile" AS
SELECT
    profile_id::text AS "name",
    user_id AS "user",
    linked_customer AS customer,
    display_name AS client_name,
    email,
    initcap(status) AS profile_status,
    created_at AS creation,
    updated_at AS modified
FROM rollcall.profiles
WHERE profile_type = 'client' AND deleted_at IS NULL;

CREATE VIEW "tabPlayer Profile" AS
SELECT profile_id::text AS "name", user_id AS "user", display_name AS player_name, initcap(status) AS profile_status
FROM rollcall.profiles
WHERE profile_type = 'player' AND deleted_at IS NULL;
