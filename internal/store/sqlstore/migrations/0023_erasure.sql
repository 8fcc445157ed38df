-- Global: what was erased for good, when and by whom, and the proof of it. There is
-- no content in it, and no address.
CREATE TABLE erasure (
  erasure_id INTEGER NOT NULL PRIMARY KEY,
  begun      INTEGER NOT NULL,
  open       INTEGER NOT NULL, -- something of it is still to be done
  state      BLOB NOT NULL,    -- what; empty when all is done
  proof      BLOB NOT NULL     -- as package admin writes it
) STRICT;

INSERT INTO counter (name, next) VALUES ('erasure', 1);
