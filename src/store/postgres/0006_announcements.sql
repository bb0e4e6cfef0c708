-- Internal: what others are told of profiles, until the relay has published it. The numbers of one user grow with time,
-- because its keys are locked while they are given.
CREATE TABLE @announcements (
    outbox_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    message_id text NOT NULL UNIQUE,
    subject text NOT NULL,
    headers text NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Mails that events asked for. The person is who had the key then, or who was found by it first: later it may be
-- somebody else's. The secret is there only as long as the mail is not sent or given up; a row stays, for
-- `rollcall explain`.
CREATE TABLE @mails (
    source text COLLATE "C" NOT NULL,
    event_id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    key text COLLATE "C" NOT NULL,
    person uuid,
    secret text,
    attempts integer NOT NULL DEFAULT 0,
    error text,
    ordered_at timestamptz NOT NULL,
    next_at timestamptz,
    tried_at timestamptz,
    sent_at timestamptz,
    given_up_at timestamptz,
    PRIMARY KEY (source, event_id, kind)
);
CREATE INDEX mails_next_at ON @mails (next_at) WHERE next_at IS NOT NULL;
