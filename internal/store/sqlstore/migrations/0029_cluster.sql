-- reads from: 0027
-- What several nodes share. A fence grows each time that a lease passes on; a row of
-- the queue says which node has it in hand. Times are the database's.
ALTER TABLE lease ADD COLUMN fence INTEGER NOT NULL DEFAULT 0;

CREATE INDEX lease_until ON lease (until);

ALTER TABLE queue ADD COLUMN taken_by TEXT NOT NULL DEFAULT '';

CREATE INDEX queue_taken ON queue (taken_by) WHERE taken_by <> '';

CREATE TABLE node (
  node_id      TEXT NOT NULL PRIMARY KEY,
  name         TEXT NOT NULL,
  version      TEXT NOT NULL,
  knows_schema INTEGER NOT NULL,
  started      INTEGER NOT NULL,
  seen         INTEGER NOT NULL,
  state        TEXT NOT NULL,
  detail       BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE shared_file (
  name    TEXT NOT NULL PRIMARY KEY,
  data    BLOB NOT NULL,
  changed INTEGER NOT NULL,
  ends    INTEGER NOT NULL
) STRICT;

CREATE INDEX shared_file_ends ON shared_file (ends);
