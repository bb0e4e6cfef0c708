-- What the event did to the tables of the application: counts by step.
ALTER TABLE @ledger ADD COLUMN cascades TEXT;

-- Internal: values whose rows are followed a part at a time, because there are too many for one transaction.
CREATE TABLE @cascade_work (
    work_id INTEGER PRIMARY KEY AUTOINCREMENT,
    step TEXT NOT NULL,
    value TEXT NOT NULL,
    ending TEXT NOT NULL,
    target TEXT,
    events TEXT NOT NULL,
    rows_done INTEGER NOT NULL DEFAULT 0,
    error TEXT,
    retry_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z')),
    created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f000Z'))
);
CREATE INDEX @cascade_work_value ON @cascade_work (value);
CREATE INDEX @cascade_work_target ON @cascade_work (target);
