-- reads from: 0027
-- What several nodes share. A fence grows each time that a lease passes on; a row of
-- the queue says which node has it in hand. Times are the database's.
ALTER TABLE lease ADD COLUMN fence bigint NOT NULL DEFAULT 0;

CREATE INDEX lease_until ON lease (until);

ALTER TABLE queue ADD COLUMN taken_by text COLLATE "C" NOT NULL DEFAULT '';

CREATE INDEX queue_taken ON queue (taken_by) WHERE taken_by <> '';

CREATE TABLE node (
  node_id      text COLLATE "C" NOT NULL PRIMARY KEY,
  name         text COLLATE "C" NOT NULL,
  version      text COLLATE "C" NOT NULL,
  knows_schema bigint NOT NULL,
  started      bigint NOT NULL,
  seen         bigint NOT NULL,
  state        text COLLATE "C" NOT NULL,
  detail       bytea NOT NULL
);

CREATE TABLE shared_file (
  name    text COLLATE "C" NOT NULL PRIMARY KEY,
  data    bytea NOT NULL,
  changed bigint NOT NULL,
  ends    bigint NOT NULL
);

CREATE INDEX shared_file_ends ON shared_file (ends);
