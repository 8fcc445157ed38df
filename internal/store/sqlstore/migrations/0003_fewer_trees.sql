-- Fewer trees change with each message. What is in the order of its keys anyway
-- needs no index for that, what never changed none for its changes, and an email id
-- that says the message's key none to be found.

-- The modseq at which the row was made. It grows with the key, and below created
-- it says that the message became visible later, perhaps again.
ALTER TABLE message ADD COLUMN born INTEGER NOT NULL DEFAULT 0;
-- The email id was given to us, and so says nothing of the key.
ALTER TABLE message ADD COLUMN named INTEGER NOT NULL DEFAULT 1;
ALTER TABLE thread ADD COLUMN born INTEGER NOT NULL DEFAULT 0;
-- How many visible emails each mailbox shows, as a JSON object; a mailbox without
-- any is not in it.
ALTER TABLE thread ADD COLUMN places TEXT NOT NULL DEFAULT '{}';

-- Of rows that are there: the least modseq of this and all later ones, as far as
-- is known. What left and came back counts as of before.
UPDATE message SET born = b.born FROM (
  SELECT m.account_id, m.message_key, coalesce(min(coalesce(
      (SELECT min(v.created) FROM vanished v WHERE v.account_id = m.account_id AND v.type = 2 AND v.id = m.message_key), nullif(m.created, 0)))
    OVER (PARTITION BY m.account_id ORDER BY m.message_key ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING),
    (SELECT a.head FROM account a WHERE a.account_id = m.account_id)) AS born FROM message m) b
WHERE b.account_id = message.account_id AND b.message_key = message.message_key;

UPDATE thread SET born = b.born FROM (
  SELECT t.account_id, t.thread_id, coalesce(min(coalesce(
      (SELECT min(v.created) FROM vanished v WHERE v.account_id = t.account_id AND v.type = 3 AND v.id = t.thread_id), nullif(t.created, 0)))
    OVER (PARTITION BY t.account_id ORDER BY t.thread_id ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING),
    (SELECT a.head FROM account a WHERE a.account_id = t.account_id)) AS born FROM thread t) b
WHERE b.account_id = thread.account_id AND b.thread_id = thread.thread_id;

UPDATE thread SET places = b.places FROM (
  SELECT account_id, thread_id, json_group_object(mailbox_id, emails) AS places FROM
    (SELECT account_id, thread_id, mailbox_id, emails FROM thread_mailbox ORDER BY account_id, thread_id, mailbox_id)
  GROUP BY account_id, thread_id) b
WHERE b.account_id = thread.account_id AND b.thread_id = thread.thread_id;

DROP TABLE thread_mailbox;

DROP INDEX message_created;
DROP INDEX message_modseq;
DROP INDEX message_thread;
DROP INDEX message_email;
DROP INDEX thread_created;
DROP INDEX thread_modseq;
DROP INDEX placement_modseq;

CREATE INDEX message_late ON message (account_id, created, message_key) WHERE visible = 1 AND created > born;
CREATE INDEX message_changed ON message (account_id, modseq, message_key) WHERE visible = 1 AND modseq > born;
-- The first of a thread is found by its key, which is drawn before the thread's id.
CREATE INDEX message_thread ON message (account_id, thread_id) WHERE thread_id <> message_key + 1;
CREATE INDEX message_named ON message (account_id, email_id) WHERE named = 1;
CREATE INDEX thread_late ON thread (account_id, created, thread_id) WHERE emails > 0 AND created > born;
CREATE INDEX thread_changed ON thread (account_id, modseq, thread_id) WHERE emails > 0 AND modseq > born;
CREATE INDEX placement_changed ON placement (account_id, mailbox_id, modseq, uid) WHERE modseq > created;

-- What an arrival came to, in fewer bytes.
UPDATE memory SET image = CAST(concat_ws(' ', m.i ->> 'ID', m.i ->> 'Mailbox', m.i ->> 'Message', m.i ->> 'UID', m.i ->> 'Lineage', m.i ->> 'System', m.i ->> 'SaveDate',
  m.i ->> 'Created', m.i ->> 'ModSeq', m.i ->> 'ChangedBy', m.i ->> 'Size', m.i ->> 'Keywords') AS BLOB)
FROM (SELECT account_id, key, CAST(image AS TEXT) AS i FROM memory) m WHERE m.account_id = memory.account_id AND m.key = memory.key;

DELETE FROM sqlite_stat1 WHERE idx IN ('message_email', 'message_thread', 'message_created', 'message_modseq', 'thread_created', 'thread_modseq', 'placement_modseq');
INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('message', 'message_late', '1000 20 3 1'),
  ('message', 'message_changed', '500000 10000 3 1'),
  ('message', 'message_thread', '700000 14000 3'),
  ('message', 'message_named', '1000 20 1'),
  ('thread', 'thread_late', '1000 20 3 1'),
  ('thread', 'thread_changed', '200000 4000 3 1'),
  ('placement', 'placement_changed', '500000 10000 1000 3 1');
ANALYZE sqlite_schema;
