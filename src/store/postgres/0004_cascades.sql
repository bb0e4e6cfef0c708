-- What the event did to the tables of the application: counts by step.
ALTER TABLE @ledger ADD COLUMN cascades json;

-- Internal: values whose rows are followed a part at a time, because there are too many for one transaction.
CREATE TABLE @cascade_work (
    work_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    step text NOT NULL,
    value text COLLATE "C" NOT NULL,
    ending text NOT NULL,
    target text COLLATE "C",
    events text NOT NULL,
    rows_done bigint NOT NULL DEFAULT 0,
    error text,
    retry_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX cascade_work_value ON @cascade_work (value);
CREATE INDEX cascade_work_target ON @cascade_work (target);
