-- Global: in whose accounts a principal has been given rights, or had them and
-- left traces.
CREATE TABLE share (
  principal_id INTEGER NOT NULL, -- -1 is anyone
  owner_id     INTEGER NOT NULL,
  live         INTEGER NOT NULL, -- has rights now
  PRIMARY KEY (principal_id, owner_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX share_owner ON share (owner_id);

-- Global: what takes transactions of two accounts, and is under way.
CREATE TABLE intent (
  intent_id INTEGER NOT NULL PRIMARY KEY,
  owner_id  INTEGER NOT NULL, -- whose messages it is about
  state     BLOB NOT NULL
) STRICT;

INSERT INTO counter (name, next) VALUES ('intent', 1);

-- What others may do in a mailbox. Rights taken back stay, as 0, until the horizon.
CREATE TABLE acl (
  account_id   INTEGER NOT NULL,
  mailbox_id   INTEGER NOT NULL,
  principal_id INTEGER NOT NULL,
  rights       INTEGER NOT NULL,
  modseq       INTEGER NOT NULL, -- when they became these
  PRIMARY KEY (account_id, mailbox_id, principal_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX acl_principal ON acl (account_id, principal_id) WHERE rights <> 0;

-- A member's own \Seen; no row is unseen. Of what departed it stays until the horizon.
CREATE TABLE seen (
  account_id   INTEGER NOT NULL,
  mailbox_id   INTEGER NOT NULL,
  principal_id INTEGER NOT NULL,
  uid          INTEGER NOT NULL,
  seen         INTEGER NOT NULL,
  modseq       INTEGER NOT NULL,
  PRIMARY KEY (account_id, mailbox_id, principal_id, uid)
) STRICT, WITHOUT ROWID;

CREATE INDEX seen_modseq ON seen (account_id, mailbox_id, principal_id, modseq, uid);

-- Who has rows in seen, and how many of them are \Seen and of a placement.
CREATE TABLE member (
  account_id   INTEGER NOT NULL,
  mailbox_id   INTEGER NOT NULL,
  principal_id INTEGER NOT NULL,
  seen         INTEGER NOT NULL,
  modseq       INTEGER NOT NULL, -- of the newest in seen
  PRIMARY KEY (account_id, mailbox_id, principal_id)
) STRICT, WITHOUT ROWID;

ALTER TABLE mailbox ADD COLUMN common_seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailbox ADD COLUMN seen_switched INTEGER NOT NULL DEFAULT 0; -- modseq of the last change of that
ALTER TABLE mailbox ADD COLUMN members INTEGER NOT NULL DEFAULT 0; -- there are rows in member

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('acl', 'acl', '10000 200 3 1'),
  ('acl', 'acl_principal', '10000 200 10'),
  ('seen', 'seen', '1000000 20000 2000 500 1'),
  ('seen', 'seen_modseq', '1000000 20000 2000 500 3 1'),
  ('member', 'member', '10000 200 3 1');

ANALYZE sqlite_schema;
