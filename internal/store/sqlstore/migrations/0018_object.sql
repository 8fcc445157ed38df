-- Small things of an account that views follow by state: see mail.Object.
CREATE TABLE object (
  account_id INTEGER NOT NULL,
  type       INTEGER NOT NULL,
  object_id  INTEGER NOT NULL,
  created    INTEGER NOT NULL,
  modseq     INTEGER NOT NULL,
  data       BLOB NOT NULL,
  PRIMARY KEY (account_id, type, object_id)
) STRICT, WITHOUT ROWID;

-- What was created since a position changed since it too.
CREATE INDEX object_modseq ON object (account_id, type, modseq, object_id);

ALTER TABLE account ADD COLUMN last_identity INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN last_submission INTEGER NOT NULL DEFAULT 0;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('object', 'object', '20000 400 200 1'),
  ('object', 'object_modseq', '20000 400 200 3 1');
ANALYZE sqlite_schema;
