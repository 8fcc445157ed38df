-- The change at which an account last came back from an older copy.
ALTER TABLE account ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;

-- What came back with an older copy, and may have been sent already, is held.
ALTER TABLE queue ADD COLUMN restored INTEGER NOT NULL DEFAULT 0;

-- Which database this is, and how far it has come: by the mark beside it an older
-- copy of it is found out. There is one row.
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

INSERT INTO mark (instance, generation, at, restores, restoring, restored_to, leap_at, leap_uids, leap_times)
VALUES (x'', 0, -9223372036854775808, 0, 0, 0, 0, 0, 0);

-- What an account begins with is counted on over all accounts after a restore: one
-- that was made since the copy, and is made again, must not repeat itself.
INSERT INTO counter (name, next) VALUES ('id', 1), ('uidvalidity', 1);
