-- Internal: failing events that wait for their next try. They are here whole, because their messages are acknowledged.
CREATE TABLE @retries (
    message_id TEXT PRIMARY KEY,
    stream TEXT NOT NULL,
    stream_sequence INTEGER NOT NULL,
    published_nanos INTEGER NOT NULL,
    message TEXT NOT NULL,
    payload BLOB NOT NULL,
    type TEXT NOT NULL,
    attempts TEXT NOT NULL DEFAULT '[]',
    judged INTEGER NOT NULL DEFAULT 0,
    in_hand INTEGER NOT NULL DEFAULT 0,
    life TEXT,
    held INTEGER NOT NULL DEFAULT 0,
    deaths INTEGER NOT NULL DEFAULT 0,
    next_at TEXT NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z'))
);
CREATE INDEX @retries_next_at ON @retries (next_at) WHERE held = 0;
CREATE INDEX @retries_held ON @retries (type, next_at) WHERE held = 1;
CREATE INDEX @retries_stream_sequence ON @retries (stream_sequence);

-- Types of event that are no longer buried: too many of them fail.
CREATE TABLE @holds (
    type TEXT PRIMARY KEY,
    since TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z')),
    probe_at TEXT NOT NULL
);

-- Messages in hand that were in hand at a death of the worker before.
CREATE TABLE @suspects (
    message_id TEXT PRIMARY KEY,
    life TEXT NOT NULL,
    company INTEGER NOT NULL,
    deaths INTEGER NOT NULL,
    noted_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z'))
);

-- What the brake writes to learn whether anything can be written.
CREATE TABLE @heartbeat (
    only_row INTEGER PRIMARY KEY,
    beats INTEGER NOT NULL
);

-- Whether a creation was applied with its minimal fields only: an input of every later fold.
ALTER TABLE @ledger ADD COLUMN reduced INTEGER NOT NULL DEFAULT 0;
