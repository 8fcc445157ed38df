-- A step that some release to come could take: a column that is filled, a table, an
-- index. It shows that this program works on such a database, and that the one to
-- come agrees with what it finds afterwards.
-- reads from: 0027

ALTER TABLE message ADD COLUMN weight INTEGER NOT NULL DEFAULT 0;

CREATE TABLE heavy (
  account_id  INTEGER NOT NULL,
  message_key INTEGER NOT NULL,
  weight      INTEGER NOT NULL,
  PRIMARY KEY (account_id, message_key)
) STRICT, WITHOUT ROWID;

CREATE INDEX message_weight ON message (account_id, weight) WHERE weight > 100;

-- again:
UPDATE message SET weight = size * 2 WHERE weight = 0;
DELETE FROM heavy WHERE NOT EXISTS (SELECT 1 FROM message m WHERE m.account_id = heavy.account_id AND m.message_key = heavy.message_key);
INSERT INTO heavy (account_id, message_key, weight) SELECT account_id, message_key, weight FROM message WHERE weight > 150 ON CONFLICT DO NOTHING;
