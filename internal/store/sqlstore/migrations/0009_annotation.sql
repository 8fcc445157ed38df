-- Annotations of messages. They stay when the message leaves its mailbox, as UIDs are
-- never given again, until its row is forgotten. One that was removed stays, without
-- its value, so that this can be told.
CREATE TABLE annotation (
  account_id INTEGER NOT NULL,
  mailbox_id INTEGER NOT NULL,
  uid        INTEGER NOT NULL,
  shared     INTEGER NOT NULL,
  who        INTEGER NOT NULL, -- whose, if it is private; 0 is the owner's
  name       TEXT NOT NULL,
  modseq     INTEGER NOT NULL,
  there      INTEGER NOT NULL, -- 0: removed
  value      BLOB NOT NULL,
  PRIMARY KEY (account_id, mailbox_id, uid, shared, who, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX annotation_modseq ON annotation (account_id, mailbox_id, modseq);

-- What the mailbox's annotations take; 0 spares looking for any.
ALTER TABLE mailbox ADD COLUMN annotation_bytes INTEGER NOT NULL DEFAULT 0;
