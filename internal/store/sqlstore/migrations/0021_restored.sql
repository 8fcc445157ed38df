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
  restoring   INTEGER NOT NULL, -- accounts are being begun anew
  restored_to INTEGER NOT NULL, -- up to this account that is done
  age         INTEGER NOT NULL  -- seconds between the copy and its return
) STRICT;

INSERT INTO mark (instance, generation, at, restoring, restored_to, age) VALUES (x'', 0, -9223372036854775808, 0, 0, 0);

-- What an account begins with is counted on over all accounts after a restore: one
-- that was made since the copy, and is made again, must not repeat itself.
INSERT INTO counter (name, next) VALUES ('id', 1), ('uidvalidity', 1);
