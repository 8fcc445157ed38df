-- By what an app password is found without a login: its hash, where it has one.
ALTER TABLE credential ADD COLUMN token BLOB;

CREATE UNIQUE INDEX credential_token ON credential (token) WHERE token IS NOT NULL;

-- Who stays signed in over HTTP: browsers, and programs by OAuth.
CREATE TABLE sign_in (
  sign_in_id   INTEGER NOT NULL PRIMARY KEY,
  key          BLOB NOT NULL,
  principal_id INTEGER NOT NULL,
  kind         TEXT NOT NULL,
  device_id    INTEGER NOT NULL,
  client       TEXT NOT NULL,
  state        BLOB NOT NULL,
  addr         TEXT NOT NULL,
  created      INTEGER NOT NULL,
  last_seen    INTEGER NOT NULL,
  ends         INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX sign_in_key ON sign_in (key);

CREATE INDEX sign_in_principal ON sign_in (principal_id, kind, last_seen);

INSERT INTO counter (name, next) VALUES ('sign_in', 1);
