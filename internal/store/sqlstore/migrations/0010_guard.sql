-- How many messages a device deleted from a mailbox since a moment.
CREATE TABLE deleting (
  account_id INTEGER NOT NULL,
  device_id  INTEGER NOT NULL,
  mailbox_id INTEGER NOT NULL,
  since      INTEGER NOT NULL,
  first      INTEGER NOT NULL, -- modseq of the first deletion since then
  messages   INTEGER NOT NULL,
  PRIMARY KEY (account_id, device_id, mailbox_id)
) STRICT, WITHOUT ROWID;

-- Floods that nobody decided about: the horizon stays before them.
CREATE TABLE flood (
  account_id INTEGER NOT NULL,
  flood_id   INTEGER NOT NULL,
  device_id  INTEGER NOT NULL,
  first      INTEGER NOT NULL,
  last       INTEGER NOT NULL,
  began      INTEGER NOT NULL,
  ended      INTEGER NOT NULL,
  removed    INTEGER NOT NULL,
  told       INTEGER NOT NULL,
  PRIMARY KEY (account_id, flood_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX flood_untold ON flood (account_id) WHERE told = 0;
