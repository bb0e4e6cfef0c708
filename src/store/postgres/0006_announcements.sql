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
