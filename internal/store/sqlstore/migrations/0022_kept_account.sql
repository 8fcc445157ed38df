-- Removed accounts that are kept for a while. Whose account is kept has removed 2 and
-- a login that nobody can have, so that the one they had is free.

ALTER TABLE account ADD COLUMN kept INTEGER NOT NULL DEFAULT 0;
ALTER TABLE principal ADD COLUMN kept_login TEXT NOT NULL DEFAULT '';
ALTER TABLE principal ADD COLUMN removed_at INTEGER NOT NULL DEFAULT 0;

CREATE TABLE kept_address (
  owner_id INTEGER NOT NULL,
  domain   TEXT NOT NULL,
  local    TEXT NOT NULL,
  alias    INTEGER NOT NULL,
  PRIMARY KEY (owner_id, domain, local)
) STRICT, WITHOUT ROWID;

CREATE INDEX principal_kept ON principal (removed_at) WHERE removed = 2;
