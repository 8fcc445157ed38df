-- reads from: 0027
-- As on the embedded engine; failures have a lane of their own, so that whoever guesses
-- holds up nothing but guesses.

CREATE TABLE ending (
  ending_id bigint NOT NULL PRIMARY KEY,
  owner_id bigint NOT NULL,
  device_id bigint NOT NULL,
  at bigint NOT NULL
);

CREATE TABLE failure (
  key text COLLATE "C" NOT NULL PRIMARY KEY,
  failures bigint NOT NULL,
  last bigint NOT NULL,
  until bigint NOT NULL
);

CREATE INDEX failure_last ON failure (last);

INSERT INTO lane (lane) VALUES (-5);

INSERT INTO counter (name, next) VALUES ('ending', 1), ('directory', 1);
