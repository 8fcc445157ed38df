-- What others see beside somebody's address.
ALTER TABLE principal ADD COLUMN name TEXT NOT NULL DEFAULT '';

-- The words by which people are found among those of a domain.
CREATE TABLE person (
  domain       TEXT NOT NULL,
  word         TEXT NOT NULL,
  principal_id INTEGER NOT NULL,
  PRIMARY KEY (domain, word, principal_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX person_principal ON person (principal_id);
