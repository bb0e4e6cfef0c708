-- Internal: worlds in the midst of long histories, so that a late event need not fold everything before it again.
CREATE TABLE @checkpoints (
    root text COLLATE "C" NOT NULL,
    position bytea NOT NULL,
    events bigint NOT NULL,
    state text NOT NULL,
    PRIMARY KEY (root, position)
);
-- What follows a checkpoint is found by its time.
DROP INDEX @ledger_key;
CREATE INDEX ledger_key_time ON @ledger (key, time);
