-- Mail that lies in a bucket begins here: bytes is the sealed record of a blob whose
-- row says this place. moved is when that row came to say another place; 0 is not yet.
-- reads from: 0027

CREATE TABLE blob_bytes (
  place text COLLATE "C" NOT NULL PRIMARY KEY,
  bytes bytea NOT NULL,
  moved bigint NOT NULL DEFAULT 0
);

CREATE INDEX blob_bytes_moved ON blob_bytes (moved) WHERE moved > 0;

-- Objects of the bucket that nobody named when they were looked at. From then on no row
-- may come to name one, and later they are removed.
CREATE TABLE blob_doomed (
  object text COLLATE "C" NOT NULL PRIMARY KEY,
  since  bigint NOT NULL
);
