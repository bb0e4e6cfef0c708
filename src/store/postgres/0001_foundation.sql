-- Internal: the folded world, one row per key. The row whose key is its own root stands for its component.
CREATE TABLE @keys (
    key text COLLATE "C" PRIMARY KEY,
    root text COLLATE "C" NOT NULL,
    holder smallint NOT NULL DEFAULT 0,
    person uuid,
    state text,
    newest bytea,
    events bigint NOT NULL DEFAULT 0
);
-- Most components have one key: only the others need to be found by their root.
CREATE INDEX keys_root ON @keys (root) WHERE root <> key;

CREATE TABLE @departed (
    person uuid PRIMARY KEY,
    key text COLLATE "C" NOT NULL,
    state text NOT NULL
);
CREATE INDEX departed_key ON @departed (key);

CREATE TABLE @policies (
    policy_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    hash bytea NOT NULL UNIQUE,
    body text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE @ledger (
    source text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    user_id text NOT NULL,
    key text COLLATE "C" NOT NULL,
    new_key text COLLATE "C",
    type text NOT NULL,
    time timestamptz NOT NULL,
    states_time boolean NOT NULL,
    sequence text NOT NULL,
    position bytea NOT NULL,
    backfill boolean NOT NULL,
    content bytea NOT NULL,
    data json NOT NULL,
    outcome text NOT NULL,
    reason text,
    effects json,
    degraded json,
    policy_id bigint NOT NULL,
    late boolean NOT NULL,
    subject text NOT NULL,
    stream_sequence bigint NOT NULL,
    published_at timestamptz NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, event_id)
);
CREATE INDEX ledger_key ON @ledger (key);

CREATE TABLE @profiles (
    profile_id uuid PRIMARY KEY,
    user_id text NOT NULL,
    profile_type text NOT NULL,
    status text NOT NULL,
    is_active boolean NOT NULL,
    display_name text NOT NULL,
    email text,
    username text,
    first_name text,
    last_name text,
    full_name text,
    phone text,
    external_id text,
    organization_id text,
    customer_id uuid,
    attributes jsonb NOT NULL DEFAULT '{}',
    degraded jsonb NOT NULL DEFAULT '[]',
    created_via text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    version bigint NOT NULL,
    deleted_at timestamptz
);
CREATE UNIQUE INDEX profiles_user_type ON @profiles (user_id, profile_type) WHERE deleted_at IS NULL;
CREATE INDEX profiles_email ON @profiles (email);

CREATE TABLE @customers (
    customer_id uuid PRIMARY KEY,
    user_id text NOT NULL,
    organization_id text NOT NULL DEFAULT '',
    profile_id uuid,
    name text,
    email text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
CREATE UNIQUE INDEX customers_user_organization ON @customers (user_id, organization_id) WHERE deleted_at IS NULL;

CREATE TABLE @dead_letters (
    message_id text PRIMARY KEY,
    reason text NOT NULL,
    stream_sequence bigint NOT NULL,
    source text COLLATE "C",
    event_id text COLLATE "C",
    error text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz
);
CREATE INDEX dead_letters_event ON @dead_letters (source, event_id);

CREATE TABLE @outbox (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id text NOT NULL UNIQUE,
    subject text NOT NULL,
    headers text NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
