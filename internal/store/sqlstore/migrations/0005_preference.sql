-- What an account chose where it can choose. What it did not choose has no row.
CREATE TABLE preference (
  account_id INTEGER NOT NULL,
  name       TEXT NOT NULL,
  value      TEXT NOT NULL,
  PRIMARY KEY (account_id, name)
) STRICT, WITHOUT ROWID;
