-- Internal: what others are told of profiles, until the relay has published it.
CREATE TABLE @announcements (
    outbox_id INTEGER PRIMARY KEY AUTOINCREMENT,
    message_id TEXT NOT NULL UNIQUE,
    subject TEXT NOT NULL,
    headers TEXT NOT NULL,
    payload BLOB NOT NULL,
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z'))
);

-- Mails that events asked for. The person is who had the key then, or who was found by it first: later it may be
-- somebody else's. The secret is there only as long as the mail is not sent or given up; a row stays, for
-- `rollcall explain`.
CREATE TABLE @mails (
    source TEXT NOT NULL,
    event_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    person TEXT,
    secret TEXT,
    attempts INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    ordered_at TEXT NOT NULL,
    next_at TEXT,
    tried_at TEXT,
    sent_at TEXT,
    given_up_at TEXT,
    PRIMARY KEY (source, event_id, kind)
);
CREATE INDEX @mails_next_at ON @mails (next_at) WHERE next_at IS NOT NULL;
