-- Internal: worlds in the midst of long histories, so that a late event need not fold everything before it again.
CREATE TABLE @checkpoints (
    root TEXT NOT NULL,
    position BLOB NOT NULL,
    events INTEGER NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (root, position)
);
-- What follows a checkpoint is found by its time.
DROP INDEX @ledger_key;
CREATE INDEX @ledger_key_time ON @ledger (key, time);
