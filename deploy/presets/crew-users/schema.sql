-- What the application has beside its users, under names as odd as they were. Keys of users are in lower case, as the
-- worker folds them.
CREATE SCHEMA crew;

-- The framework's row of each user.
CREATE TABLE crew."user" (
    name text PRIMARY KEY,
    full_name text,
    enabled boolean NOT NULL DEFAULT true
);

CREATE TABLE crew.permissions (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    "user" text NOT NULL,
    allow text NOT NULL,
    for_value text NOT NULL
);
CREATE INDEX ON crew.permissions ("user");

CREATE TABLE crew.sessions (sid text PRIMARY KEY, "user" text NOT NULL);
CREATE INDEX ON crew.sessions ("user");

CREATE TABLE crew.notifications (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    from_user text NOT NULL,
    for_user text NOT NULL,
    subject text NOT NULL
);
CREATE INDEX ON crew.notifications (from_user);
CREATE INDEX ON crew.notifications (for_user);

CREATE TABLE crew.device_tokens (token text PRIMARY KEY, "user" text NOT NULL);
CREATE INDEX ON crew.device_tokens ("user");

CREATE TABLE crew.purchase_orders (name text PRIMARY KEY, owner text NOT NULL, total numeric NOT NULL);
CREATE INDEX ON crew.purchase_orders (owner);

CREATE TABLE crew.requests (name text PRIMARY KEY, owner text NOT NULL, subject text NOT NULL);
CREATE INDEX ON crew.requests (owner);

CREATE TABLE crew.comments (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner text NOT NULL,
    content text NOT NULL
);
CREATE INDEX ON crew.comments (owner);

CREATE TABLE crew.versions (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ref_doctype text NOT NULL,
    docname text NOT NULL,
    what text NOT NULL,
    data jsonb NOT NULL,
    creation timestamptz NOT NULL
);

-- The rule of the old table about telephone numbers. A user who breaks it is there all the same, without the number.
ALTER TABLE rollcall.profiles ADD CONSTRAINT crew_phone CHECK (phone ~ '^[+0-9][-0-9 ()/]{3,}$');

-- The table of users, under its old name and columns.
CREATE VIEW crew.users AS
SELECT
    CASE user_id WHEN 'administrator' THEN 'Administrator' ELSE user_id END AS name,
    email,
    first_name,
    last_name,
    full_name,
    phone,
    attributes ->> 'role_profile' AS role_profile,
    user_id = 'administrator' OR coalesce(attributes ->> 'role_profile' = 'Crew Admin', false) AS is_admin,
    is_active AS enabled,
    created_at AS creation,
    updated_at AS modified
FROM rollcall.profiles
WHERE profile_type = 'crew' AND deleted_at IS NULL;

-- What is there when the demo begins. Ida has no row of the framework.
INSERT INTO crew."user" (name, full_name) VALUES
    ('Administrator', 'Administrator'), ('ada@crew.example', 'Ada Moreau'), ('ben@crew.example', 'Ben Bell');
INSERT INTO crew.permissions ("user", allow, for_value) VALUES
    ('ada@crew.example', 'Vessel', 'Aurora'), ('ada@crew.example', 'Port', 'Brest'),
    ('ben@crew.example', 'Vessel', 'Aurora'), ('Administrator', 'Vessel', 'Aurora');
INSERT INTO crew.sessions (sid, "user") VALUES ('s-ada', 'ada@crew.example'), ('s-ben', 'ben@crew.example');
INSERT INTO crew.notifications (from_user, for_user, subject) VALUES
    ('ben@crew.example', 'ada@crew.example', 'from Ben'),
    ('ada@crew.example', 'ben@crew.example', 'to Ben'),
    ('ada@crew.example', 'Administrator', 'from Ada');
INSERT INTO crew.device_tokens (token, "user") VALUES ('t-ada', 'ada@crew.example'), ('t-ben', 'ben@crew.example');
INSERT INTO crew.purchase_orders (name, owner, total) VALUES ('PO-1', 'ben@crew.example', 120);
INSERT INTO crew.requests (name, owner, subject) VALUES ('REQ-1', 'ben@crew.example', 'Rope');
INSERT INTO crew.comments (owner, content) VALUES ('ben@crew.example', 'Rope has come');
