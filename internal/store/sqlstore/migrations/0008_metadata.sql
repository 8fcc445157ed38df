-- Annotations of mailboxes, and of the account, which is mailbox 0. They stay when
-- their mailbox is deleted, until the horizon, and are seen again when it is brought
-- back. One that was removed stays, without its value, so that this can be told.
CREATE TABLE metadata (
  account_id INTEGER NOT NULL,
  mailbox_id INTEGER NOT NULL,
  who        INTEGER NOT NULL, -- whose, if it is private; 0 is the owner's
  name       TEXT NOT NULL,
  modseq     INTEGER NOT NULL,
  there      INTEGER NOT NULL, -- 0: removed
  value      BLOB NOT NULL,
  PRIMARY KEY (account_id, mailbox_id, who, name)
) STRICT, WITHOUT ROWID;

CREATE INDEX metadata_modseq ON metadata (account_id, modseq);
