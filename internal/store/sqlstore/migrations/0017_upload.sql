-- Bytes that clients put beside their mail, to make messages of. A row names its blob
-- until it expires.
CREATE TABLE upload (
  account_id INTEGER NOT NULL,
  upload_id  BLOB NOT NULL,
  blob       BLOB NOT NULL,
  size       INTEGER NOT NULL,
  type       TEXT NOT NULL,
  created    INTEGER NOT NULL,
  until      INTEGER NOT NULL,
  emails     BLOB NOT NULL, -- ids of what was made of it last, 16 bytes each, newest last
  PRIMARY KEY (account_id, upload_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX upload_blob ON upload (blob);
