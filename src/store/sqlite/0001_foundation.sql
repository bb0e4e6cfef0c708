-- Internal: the folded world, one row per key. The row whose key is its own root stands for its component.
CREATE TABLE @keys (
    key TEXT PRIMARY KEY,
    root TEXT NOT NULL,
    holder INTEGER NOT NULL DEFAULT 0,
    person TEXT,
    state TEXT,
    newest BLOB,
    events INTEGER NOT NULL DEFAULT 0
);
-- Most components have one key: only the others need to be found by their root.
CREATE INDEX @keys_root ON @keys (root) WHERE root <> key;

CREATE TABLE @departed (
    person TEXT PRIMARY KEY,
    key TEXT NOT NULL,
    state TEXT NOT NULL
);
CREATE INDEX @departed_key ON @departed (key);

CREATE TABLE @policies (
    policy_id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    body TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z'))
);

CREATE TABLE @ledger (
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    key TEXT NOT NULL,
    new_key TEXT,
    type TEXT NOT NULL,
    time TEXT NOT NULL,
    states_time INTEGER NOT NULL,
    sequence TEXT NOT NULL,
    position BLOB NOT NULL,
    backfill INTEGER NOT NULL,
    content BLOB NOT NULL,
    data TEXT NOT NULL,
    outcome TEXT NOT NULL,
    reason TEXT,
    effects TEXT,
    degraded TEXT,
    policy_id INTEGER NOT NULL,
    late INTEGER NOT NULL,
    subject TEXT NOT NULL,
    stream_sequence INTEGER NOT NULL,
    published_at TEXT NOT NULL,
    applied_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z')),
    PRIMARY KEY (source, event_id)
);
CREATE INDEX @ledger_key ON @ledger (key);

CREATE TABLE @profiles (
    profile_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    profile_type TEXT NOT NULL,
    status TEXT NOT NULL,
    is_active INTEGER NOT NULL,
    display_name TEXT NOT NULL,
    email TEXT,
    username TEXT,
    first_name TEXT,
    last_name TEXT,
    full_name TEXT,
    phone TEXT,
    external_id TEXT,
    organization_id TEXT,
    customer_id TEXT,
    attributes TEXT NOT NULL DEFAULT '{}',
    degraded TEXT NOT NULL DEFAULT '[]',
    created_via TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    version INTEGER NOT NULL,
    deleted_at TEXT
);
CREATE UNIQUE INDEX @profiles_user_type ON @profiles (user_id, profile_type) WHERE deleted_at IS NULL;
CREATE INDEX @profiles_email ON @profiles (email);

CREATE TABLE @customers (
    customer_id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL,
    organization_id TEXT NOT NULL DEFAULT '',
    profile_id TEXT,
    name TEXT,
    email TEXT,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,
    deleted_at TEXT
);
CREATE UNIQUE INDEX @customers_user_organization ON @customers (user_id, organization_id) WHERE deleted_at IS NULL;

CREATE TABLE @dead_letters (
    message_id TEXT PRIMARY KEY,
    reason TEXT NOT NULL,
    stream_sequence INTEGER NOT NULL,
    source TEXT,
    event_id TEXT,
    error TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z')),
    resolved_at TEXT
);
CREATE INDEX @dead_letters_event ON @dead_letters (source, event_id);

CREATE TABLE @outbox (
    outbox_id INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    headers TEXT NOT NULL,
    payload BLOB NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z'))
);
