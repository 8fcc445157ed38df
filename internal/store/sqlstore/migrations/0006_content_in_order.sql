-- What is wide lies in the order in which it came, whoever it came for: a new row goes
-- behind the last. By account and key it was put between others, where a page holds
-- four, and each message moved rows about on four pages. Its key is the account and
-- content_id, as everywhere; that SQLite numbers rows is how it keeps the order.
CREATE TABLE content (
  account_id INTEGER NOT NULL,
  content_id INTEGER NOT NULL PRIMARY KEY,
  blob       BLOB NOT NULL,
  sent_at    INTEGER NOT NULL,
  message_id TEXT NOT NULL,
  parsed     BLOB,
  preview    TEXT NOT NULL,
  names      BLOB -- by which replies find its thread, eight bytes each
) STRICT;

-- The names of messages up to this key are in thread_name.
ALTER TABLE account ADD COLUMN named_to INTEGER NOT NULL DEFAULT 0;
UPDATE account SET named_to = next_id - 1;

ALTER TABLE message ADD COLUMN content_id INTEGER NOT NULL DEFAULT 0;
-- The same, so that what is shown of many messages is found without theirs.
ALTER TABLE placement ADD COLUMN content_id INTEGER NOT NULL DEFAULT 0;

UPDATE message SET content_id = n.n FROM
  (SELECT account_id, message_key, row_number() OVER (ORDER BY account_id, message_key) AS n FROM message_content) n
WHERE n.account_id = message.account_id AND n.message_key = message.message_key;

UPDATE placement SET content_id = m.content_id FROM message m
WHERE m.account_id = placement.account_id AND m.message_key = placement.message_key;

INSERT INTO content (account_id, content_id, blob, sent_at, message_id, parsed, preview)
  SELECT m.account_id, m.content_id, c.blob, c.sent_at, c.message_id, c.parsed, c.preview FROM message_content c
  JOIN message m ON m.account_id = c.account_id AND m.message_key = c.message_key ORDER BY c.account_id, c.message_key;

DROP TABLE message_content;

CREATE INDEX content_blob ON content (blob);

DELETE FROM sqlite_stat1 WHERE tbl = 'message_content';
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('content', 'content_blob', '1000000 2');
ANALYZE sqlite_schema;
