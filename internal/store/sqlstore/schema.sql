CREATE TABLE account (
  account_id       INTEGER NOT NULL PRIMARY KEY,
  name             TEXT NOT NULL,
  head             INTEGER NOT NULL,
  epoch            INTEGER NOT NULL,
  horizon          INTEGER NOT NULL,
  last_mailbox     INTEGER NOT NULL, -- modseq of the last change of each type
  last_email       INTEGER NOT NULL,
  last_thread      INTEGER NOT NULL,
  last_placement   INTEGER NOT NULL,
  next_id          INTEGER NOT NULL, -- of mailboxes, messages, placements, threads, devices
  next_uidvalidity INTEGER NOT NULL,
  quota            INTEGER NOT NULL,
  used             INTEGER NOT NULL,
  disabled         INTEGER NOT NULL,
  created          INTEGER NOT NULL
, named_to INTEGER NOT NULL DEFAULT 0, reparsed INTEGER NOT NULL DEFAULT 0, last_identity INTEGER NOT NULL DEFAULT 0, last_submission INTEGER NOT NULL DEFAULT 0, peak INTEGER NOT NULL DEFAULT 0, peak_key INTEGER NOT NULL DEFAULT 0, emails INTEGER NOT NULL DEFAULT 0, threads INTEGER NOT NULL DEFAULT 0, restored INTEGER NOT NULL DEFAULT 0, kept INTEGER NOT NULL DEFAULT 0, horizon_at INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE TABLE acl (
  account_id   INTEGER NOT NULL,
  mailbox_id   INTEGER NOT NULL,
  principal_id INTEGER NOT NULL,
  rights       INTEGER NOT NULL,
  modseq       INTEGER NOT NULL, -- when they became these
  PRIMARY KEY (account_id, mailbox_id, principal_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE address (
  domain   TEXT NOT NULL,
  local    TEXT NOT NULL, -- '' catches all
  owner_id INTEGER NOT NULL,
  alias    INTEGER NOT NULL,
  PRIMARY KEY (domain, local)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE blob (
  name      BLOB NOT NULL PRIMARY KEY,
  size      INTEGER NOT NULL,
  place     TEXT NOT NULL,
  key       BLOB,
  touched   INTEGER NOT NULL,
  condemned INTEGER NOT NULL DEFAULT 0 -- when; 0 is alive
, namer_account INTEGER NOT NULL DEFAULT 0, namer_key INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;

CREATE TABLE blob_bytes (
  place TEXT NOT NULL PRIMARY KEY,
  bytes BLOB NOT NULL,
  moved INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE blob_doomed (
  object TEXT NOT NULL PRIMARY KEY,
  since  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE blob_part (
  whole BLOB NOT NULL,
  n     INTEGER NOT NULL,
  part  BLOB NOT NULL,
  PRIMARY KEY (whole, n)
) STRICT, WITHOUT ROWID;

CREATE TABLE content (
  account_id INTEGER NOT NULL,
  content_id INTEGER NOT NULL PRIMARY KEY,
  blob       BLOB NOT NULL,
  sent_at    INTEGER NOT NULL,
  message_id TEXT NOT NULL,
  parsed     BLOB,
  preview    TEXT NOT NULL,
  names      BLOB -- by which replies find its thread, eight bytes each
, again INTEGER NOT NULL DEFAULT 1) STRICT;

CREATE TABLE counter (
  name TEXT NOT NULL PRIMARY KEY,
  next INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE credential (
  credential_id INTEGER NOT NULL PRIMARY KEY,
  principal_id  INTEGER NOT NULL,
  kind          TEXT NOT NULL,
  name          TEXT NOT NULL,
  verifier      BLOB,
  scram         BLOB,
  protocols     TEXT NOT NULL, -- joined by spaces
  device_id     INTEGER NOT NULL,
  created       INTEGER NOT NULL,
  last_used     INTEGER NOT NULL
, token BLOB) STRICT;

CREATE TABLE cursor (
  account_id INTEGER NOT NULL,
  device_id  INTEGER NOT NULL,
  name       TEXT NOT NULL,
  state      BLOB NOT NULL,
  PRIMARY KEY (account_id, device_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE deleting (
  account_id INTEGER NOT NULL,
  device_id  INTEGER NOT NULL,
  mailbox_id INTEGER NOT NULL,
  since      INTEGER NOT NULL,
  first      INTEGER NOT NULL, -- modseq of the first deletion since then
  messages   INTEGER NOT NULL,
  PRIMARY KEY (account_id, device_id, mailbox_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE device (
  account_id INTEGER NOT NULL,
  device_id  INTEGER NOT NULL,
  name       TEXT NOT NULL,
  key        TEXT NOT NULL,
  protocol   TEXT NOT NULL,
  client     TEXT NOT NULL,
  created    INTEGER NOT NULL,
  last_seen  INTEGER NOT NULL,
  last_addr  TEXT NOT NULL,
  access    INTEGER NOT NULL, wipe_scope TEXT NOT NULL DEFAULT '', wipe_state TEXT NOT NULL DEFAULT '', wipe_at INTEGER NOT NULL DEFAULT -9223372036854775808, wipe_status TEXT NOT NULL DEFAULT '', told TEXT NOT NULL DEFAULT '{}',
  PRIMARY KEY (account_id, device_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE domain (
  name TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE ending (
	ending_id INTEGER NOT NULL PRIMARY KEY,
	owner_id INTEGER NOT NULL,
	device_id INTEGER NOT NULL,
	at INTEGER NOT NULL
) STRICT;

CREATE TABLE ending_unread (
	unread_id INTEGER NOT NULL PRIMARY KEY,
	owner_id INTEGER NOT NULL,
	device_id INTEGER NOT NULL,
	at INTEGER NOT NULL
) STRICT;

CREATE TABLE erasure (
  erasure_id INTEGER NOT NULL PRIMARY KEY,
  begun      INTEGER NOT NULL,
  open       INTEGER NOT NULL, -- something of it is still to be done
  state      BLOB NOT NULL,    -- what; empty when all is done
  proof      BLOB NOT NULL     -- as package admin writes it
) STRICT;

CREATE TABLE failure (
	key TEXT NOT NULL PRIMARY KEY,
	failures INTEGER NOT NULL,
	last INTEGER NOT NULL,
	until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

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

CREATE TABLE intent (
  intent_id INTEGER NOT NULL PRIMARY KEY,
  owner_id  INTEGER NOT NULL, -- whose messages it is about
  state     BLOB NOT NULL
) STRICT;

CREATE TABLE journal (
  account_id INTEGER NOT NULL,
  modseq     INTEGER NOT NULL,
  act        INTEGER NOT NULL,
  undoes     INTEGER NOT NULL,
  at         INTEGER NOT NULL,
  actor      TEXT NOT NULL,
  device_id  INTEGER NOT NULL,
  session    TEXT NOT NULL,
  protocol   TEXT NOT NULL,
  cause      TEXT NOT NULL,
  version    INTEGER NOT NULL,
  entries    TEXT NOT NULL,
  PRIMARY KEY (account_id, modseq)
) STRICT, WITHOUT ROWID;

CREATE TABLE kept_address (
  owner_id INTEGER NOT NULL,
  domain   TEXT NOT NULL,
  local    TEXT NOT NULL,
  alias    INTEGER NOT NULL,
  PRIMARY KEY (owner_id, domain, local)
) STRICT, WITHOUT ROWID;

CREATE TABLE lease (
  name   TEXT NOT NULL PRIMARY KEY,
  holder TEXT NOT NULL,
  until  INTEGER NOT NULL
, fence INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;

CREATE TABLE mailbox (
  account_id     INTEGER NOT NULL,
  mailbox_id     INTEGER NOT NULL,
  parent_id      INTEGER NOT NULL,
  name           TEXT NOT NULL,
  path           TEXT NOT NULL,
  role           TEXT NOT NULL,
  uidvalidity    INTEGER NOT NULL,
  uidnext        INTEGER NOT NULL,
  recent         INTEGER NOT NULL, -- first UID no session has shown as \Recent
  sort_order     INTEGER NOT NULL,
  created        INTEGER NOT NULL,
  modseq         INTEGER NOT NULL, -- the greater of the props' and the counts'
  highest_modseq INTEGER NOT NULL,
  props_modseq   INTEGER NOT NULL,
  counts_modseq  INTEGER NOT NULL,
  placements     INTEGER NOT NULL,
  unseen         INTEGER NOT NULL,
  deleted        INTEGER NOT NULL,
  size           INTEGER NOT NULL,
  emails         INTEGER NOT NULL,
  unread_emails  INTEGER NOT NULL,
  threads        INTEGER NOT NULL,
  unread_threads INTEGER NOT NULL, common_seen INTEGER NOT NULL DEFAULT 0, seen_switched INTEGER NOT NULL DEFAULT 0, members INTEGER NOT NULL DEFAULT 0, annotation_bytes INTEGER NOT NULL DEFAULT 0, peak INTEGER NOT NULL DEFAULT 0, peak_uid INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (account_id, mailbox_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE mark (
  instance    BLOB NOT NULL, -- empty before the first start
  generation  INTEGER NOT NULL,
  at          INTEGER NOT NULL, -- when it became this
  restores    INTEGER NOT NULL, -- how often it came back from an older copy
  restoring   INTEGER NOT NULL, -- accounts are being begun anew
  restored_to INTEGER NOT NULL, -- up to this account that is done
  leap_at     INTEGER NOT NULL, -- by how much their numbers leap, as mail.Leap says it
  leap_uids   INTEGER NOT NULL,
  leap_times  INTEGER NOT NULL
) STRICT;

CREATE TABLE member (
  account_id   INTEGER NOT NULL,
  mailbox_id   INTEGER NOT NULL,
  principal_id INTEGER NOT NULL,
  seen         INTEGER NOT NULL,
  modseq       INTEGER NOT NULL, -- of the newest in seen
  PRIMARY KEY (account_id, mailbox_id, principal_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE memory (
  account_id INTEGER NOT NULL,
  key        TEXT NOT NULL,
  mailbox_id INTEGER NOT NULL,
  uid        INTEGER NOT NULL,
  until      INTEGER NOT NULL,
  image      BLOB NOT NULL, -- the placement as it was then
  PRIMARY KEY (account_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE message (
  account_id    INTEGER NOT NULL,
  message_key   INTEGER NOT NULL,
  email_id      BLOB NOT NULL,
  thread_id     INTEGER NOT NULL,
  size          INTEGER NOT NULL,
  internal_date INTEGER NOT NULL,
  created       INTEGER NOT NULL, -- when it became visible, last
  modseq        INTEGER NOT NULL,
  visible       INTEGER NOT NULL, -- some placement is not \Deleted
  placements    INTEGER NOT NULL,
  left_modseq   INTEGER NOT NULL, born INTEGER NOT NULL DEFAULT 0, named INTEGER NOT NULL DEFAULT 1, content_id INTEGER NOT NULL DEFAULT 0, internal_zone INTEGER NOT NULL DEFAULT 0, behind INTEGER NOT NULL DEFAULT 0, sent_at INTEGER NOT NULL DEFAULT -9223372036854775808, home_mailbox INTEGER NOT NULL DEFAULT 0, home_uid INTEGER NOT NULL DEFAULT 0, -- when the last placement left; 0 while there is one
  PRIMARY KEY (account_id, message_key)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE moving (
  state  TEXT NOT NULL,
  origin TEXT NOT NULL, -- which database they come from
  peer   TEXT NOT NULL, -- where that is, or where they went, for people
  at     INTEGER NOT NULL
) STRICT;

CREATE TABLE node (
  node_id      TEXT NOT NULL PRIMARY KEY,
  name         TEXT NOT NULL,
  version      TEXT NOT NULL,
  knows_schema INTEGER NOT NULL,
  started      INTEGER NOT NULL,
  seen         INTEGER NOT NULL,
  state        TEXT NOT NULL,
  detail       BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE object (
  account_id INTEGER NOT NULL,
  type       INTEGER NOT NULL,
  object_id  INTEGER NOT NULL,
  created    INTEGER NOT NULL,
  modseq     INTEGER NOT NULL,
  data       BLOB NOT NULL,
  PRIMARY KEY (account_id, type, object_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE person (
  domain       TEXT NOT NULL,
  word         TEXT NOT NULL,
  principal_id INTEGER NOT NULL,
  PRIMARY KEY (domain, word, principal_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE placement (
  account_id   INTEGER NOT NULL,
  mailbox_id   INTEGER NOT NULL,
  uid          INTEGER NOT NULL,
  placement_id INTEGER NOT NULL,
  message_key  INTEGER NOT NULL,
  lineage      INTEGER NOT NULL,
  system       INTEGER NOT NULL,
  keywords     TEXT NOT NULL,
  save_date    INTEGER NOT NULL,
  created      INTEGER NOT NULL,
  modseq       INTEGER NOT NULL,
  changed_by   INTEGER NOT NULL,
  size         INTEGER NOT NULL, content_id INTEGER NOT NULL DEFAULT 0, received INTEGER NOT NULL DEFAULT 0, behind INTEGER NOT NULL DEFAULT 0, elsewhere INTEGER NOT NULL DEFAULT 1,
  PRIMARY KEY (account_id, mailbox_id, uid)
) STRICT, WITHOUT ROWID;

CREATE TABLE preference (
  account_id INTEGER NOT NULL,
  name       TEXT NOT NULL,
  value      TEXT NOT NULL,
  PRIMARY KEY (account_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE principal (
  principal_id INTEGER NOT NULL PRIMARY KEY,
  login        TEXT NOT NULL UNIQUE,
  owner_id     INTEGER NOT NULL UNIQUE,
  disabled     INTEGER NOT NULL,
  removed      INTEGER NOT NULL DEFAULT 0 -- its rows are being deleted
, name TEXT NOT NULL DEFAULT '', kept_login TEXT NOT NULL DEFAULT '', removed_at INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE TABLE queue (
  outgoing_id  INTEGER NOT NULL PRIMARY KEY,
  delivery     TEXT NOT NULL,
  owner_id     INTEGER NOT NULL,
  blob         BLOB NOT NULL,
  reverse_path TEXT NOT NULL,
  recipient    TEXT NOT NULL,
  options      BLOB,
  arrived      INTEGER NOT NULL,
  attempts     INTEGER NOT NULL,
  next_attempt INTEGER NOT NULL,
  last_error   TEXT NOT NULL, restored INTEGER NOT NULL DEFAULT 0, taken_by TEXT NOT NULL DEFAULT '',
  UNIQUE (delivery, recipient)
) STRICT;

CREATE TABLE schema_version (version INTEGER NOT NULL, reads_from INTEGER, taken INTEGER NOT NULL DEFAULT 0, program TEXT NOT NULL DEFAULT '', missed INTEGER NOT NULL DEFAULT 0) STRICT;

CREATE TABLE seen (
  account_id   INTEGER NOT NULL,
  mailbox_id   INTEGER NOT NULL,
  principal_id INTEGER NOT NULL,
  uid          INTEGER NOT NULL,
  seen         INTEGER NOT NULL,
  modseq       INTEGER NOT NULL,
  PRIMARY KEY (account_id, mailbox_id, principal_id, uid)
) STRICT, WITHOUT ROWID;

CREATE TABLE share (
  principal_id INTEGER NOT NULL, -- -1 is anyone
  owner_id     INTEGER NOT NULL,
  live         INTEGER NOT NULL, -- has rights now
  PRIMARY KEY (principal_id, owner_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE shared_file (
  name    TEXT NOT NULL PRIMARY KEY,
  data    BLOB NOT NULL,
  changed INTEGER NOT NULL,
  ends    INTEGER NOT NULL
) STRICT;

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

CREATE TABLE sqlite_stat1(tbl,idx,stat);

CREATE TABLE sqlite_stat4(tbl,idx,neq,nlt,ndlt,sample);

CREATE TABLE subscription (
  account_id INTEGER NOT NULL,
  path       TEXT NOT NULL,
  PRIMARY KEY (account_id, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE thread (
  account_id INTEGER NOT NULL,
  thread_id  INTEGER NOT NULL,
  emails     INTEGER NOT NULL, -- visible ones
  unread     INTEGER NOT NULL, -- of those
  created    INTEGER NOT NULL,
  modseq     INTEGER NOT NULL, born INTEGER NOT NULL DEFAULT 0, places TEXT NOT NULL DEFAULT '{}',
  PRIMARY KEY (account_id, thread_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE thread_name (
  account_id INTEGER NOT NULL,
  name       INTEGER NOT NULL,
  thread_id  INTEGER NOT NULL,
  PRIMARY KEY (account_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE upload (
  account_id INTEGER NOT NULL,
  upload_id  BLOB NOT NULL,
  blob       BLOB NOT NULL,
  size       INTEGER NOT NULL,
  type       TEXT NOT NULL,
  created    INTEGER NOT NULL,
  until      INTEGER NOT NULL,
  emails     BLOB NOT NULL, -- ids of what was made of it last, 16 bytes each, newest last
  PRIMARY KEY (account_id, upload_id)
) STRICT, WITHOUT ROWID;

CREATE TABLE vanished (
  account_id INTEGER NOT NULL,
  type       INTEGER NOT NULL,
  modseq     INTEGER NOT NULL,
  id         INTEGER NOT NULL,
  created    INTEGER NOT NULL,
  why        INTEGER NOT NULL,
  image      BLOB, -- a mailbox's row
  PRIMARY KEY (account_id, type, modseq, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE vanished_placement (
  account_id   INTEGER NOT NULL,
  mailbox_id   INTEGER NOT NULL,
  uid          INTEGER NOT NULL,
  placement_id INTEGER NOT NULL,
  message_key  INTEGER NOT NULL,
  lineage      INTEGER NOT NULL,
  system       INTEGER NOT NULL,
  keywords     TEXT NOT NULL,
  save_date    INTEGER NOT NULL,
  created      INTEGER NOT NULL,
  modseq       INTEGER NOT NULL, -- of its last change
  changed_by   INTEGER NOT NULL,
  size         INTEGER NOT NULL,
  vanished     INTEGER NOT NULL, -- at which modseq
  why          INTEGER NOT NULL,
  PRIMARY KEY (account_id, mailbox_id, uid)
) STRICT, WITHOUT ROWID;

CREATE INDEX acl_principal ON acl (account_id, principal_id) WHERE rights <> 0;

CREATE INDEX address_owner ON address (owner_id);

CREATE INDEX annotation_modseq ON annotation (account_id, mailbox_id, modseq);

CREATE INDEX blob_bytes_moved ON blob_bytes (moved) WHERE moved > 0;

CREATE INDEX blob_condemned ON blob (condemned) WHERE condemned > 0;

CREATE INDEX blob_part_part ON blob_part (part);

CREATE INDEX blob_place ON blob (place);

CREATE INDEX content_blob ON content (blob) WHERE again = 1;

CREATE INDEX credential_principal ON credential (principal_id);

CREATE UNIQUE INDEX credential_token ON credential (token) WHERE token IS NOT NULL;

CREATE UNIQUE INDEX device_key ON device (account_id, key);

CREATE INDEX failure_last ON failure (last);

CREATE INDEX flood_untold ON flood (account_id) WHERE told = 0;

CREATE INDEX journal_act ON journal (account_id, act, modseq) WHERE act <> modseq;

CREATE INDEX lease_until ON lease (until);

CREATE UNIQUE INDEX mailbox_path ON mailbox (account_id, path);

CREATE INDEX message_astray ON message (account_id, internal_date, message_key) WHERE behind > 0 AND visible = 1;

CREATE INDEX message_changed ON message (account_id, modseq, message_key) WHERE visible = 1 AND modseq > born;

CREATE INDEX message_late ON message (account_id, created, message_key) WHERE visible = 1 AND created > born;

CREATE INDEX message_left ON message (account_id, left_modseq) WHERE placements = 0;

CREATE INDEX message_named ON message (account_id, email_id) WHERE named = 1;

CREATE INDEX message_thread ON message (account_id, thread_id) WHERE thread_id <> message_key + 1;

CREATE INDEX metadata_modseq ON metadata (account_id, modseq);

CREATE INDEX object_modseq ON object (account_id, type, modseq, object_id);

CREATE INDEX person_principal ON person (principal_id);

CREATE INDEX placement_astray ON placement (account_id, mailbox_id, received, uid) WHERE behind > 0;

CREATE INDEX placement_changed ON placement (account_id, mailbox_id, modseq, uid) WHERE modseq > created;

CREATE INDEX placement_line ON placement (account_id, mailbox_id, abs(lineage)) WHERE lineage <> placement_id;

CREATE INDEX placement_message ON placement (account_id, message_key) WHERE elsewhere = 1;

CREATE INDEX principal_kept ON principal (removed_at) WHERE removed = 2;

CREATE INDEX queue_blob ON queue (blob);

CREATE INDEX queue_next ON queue (next_attempt, outgoing_id);

CREATE INDEX queue_taken ON queue (taken_by) WHERE taken_by <> '';

CREATE INDEX seen_modseq ON seen (account_id, mailbox_id, principal_id, modseq, uid);

CREATE INDEX share_owner ON share (owner_id);

CREATE INDEX shared_file_ends ON shared_file (ends);

CREATE UNIQUE INDEX sign_in_key ON sign_in (key);

CREATE INDEX sign_in_principal ON sign_in (principal_id, kind, last_seen);

CREATE INDEX thread_changed ON thread (account_id, modseq, thread_id) WHERE emails > 0 AND modseq > born;

CREATE INDEX thread_late ON thread (account_id, created, thread_id) WHERE emails > 0 AND created > born;

CREATE INDEX upload_blob ON upload (blob);

CREATE INDEX vanished_id ON vanished (account_id, type, id, modseq);

CREATE INDEX vanished_placement_line ON vanished_placement (account_id, mailbox_id, abs(lineage)) WHERE lineage <> placement_id;

CREATE INDEX vanished_placement_message ON vanished_placement (account_id, message_key);

CREATE INDEX vanished_placement_modseq ON vanished_placement (account_id, mailbox_id, vanished, uid);

