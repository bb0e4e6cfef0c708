-- What the application's data said when an event had to know it: an input of every later fold.
ALTER TABLE @ledger ADD COLUMN inputs json;

-- The customer that a user is linked to, whatever the type of its id is.
ALTER TABLE @profiles ADD COLUMN linked_customer text;

-- Rows that the application puts there belong to nobody, under the empty user, until the worker links them. It deletes
-- only those that it made.
ALTER TABLE @customers ADD COLUMN made_by_worker boolean NOT NULL DEFAULT false;
UPDATE @customers SET made_by_worker = true;
DROP INDEX @customers_user_organization;
CREATE UNIQUE INDEX customers_user_organization ON @customers (user_id, organization_id)
    WHERE deleted_at IS NULL AND user_id <> '';
CREATE INDEX customers_free_email ON @customers (lower(email)) WHERE deleted_at IS NULL AND user_id = '';
