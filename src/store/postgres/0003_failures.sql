-- Internal: failing events that wait for their next try. They are here whole, because their messages are acknowledged.
CREATE TABLE @retries (
    message_id text PRIMARY KEY,
    stream text NOT NULL,
    stream_sequence bigint NOT NULL,
    published_nanos bigint NOT NULL,
    message text NOT NULL,
    payload bytea NOT NULL,
    type text NOT NULL,
    attempts text NOT NULL DEFAULT '[]',
    judged integer NOT NULL DEFAULT 0,
    in_hand boolean NOT NULL DEFAULT false,
    life uuid,
    held boolean NOT NULL DEFAULT false,
    deaths integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX retries_next_at ON @retries (next_at) WHERE NOT held;
CREATE INDEX retries_held ON @retries (type, next_at) WHERE held;
CREATE INDEX retries_stream_sequence ON @retries (stream_sequence);

-- Types of event that are no longer buried: too many of them fail.
CREATE TABLE @holds (
    type text PRIMARY KEY,
    since timestamptz NOT NULL DEFAULT now(),
    probe_at timestamptz NOT NULL
);

-- Messages in hand that were in hand at a death of the worker before.
CREATE TABLE @suspects (
    message_id text PRIMARY KEY,
    life uuid NOT NULL,
    company integer NOT NULL,
    deaths integer NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT now()
);

-- What the brake writes to learn whether anything can be written.
CREATE TABLE @heartbeat (
    only_row smallint PRIMARY KEY,
    beats bigint NOT NULL
);

-- Whether a creation was applied with its minimal fields only: an input of every later fold.
ALTER TABLE @ledger ADD COLUMN reduced boolean NOT NULL DEFAULT false;
