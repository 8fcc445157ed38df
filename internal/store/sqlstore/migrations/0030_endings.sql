-- reads from: 0027
-- What nodes that share the database tell each other of who signs in. An ending says
-- that sessions of an account may have to end; device_id 0 is to look which. A failure
-- is a count of failed sign-ins under a key of which only package auth knows what it
-- is. The counter 'directory' grows with each change of an address or a domain.

CREATE TABLE ending (
	ending_id INTEGER NOT NULL PRIMARY KEY,
	owner_id INTEGER NOT NULL,
	device_id INTEGER NOT NULL,
	at INTEGER NOT NULL
) STRICT;

CREATE TABLE failure (
	key TEXT NOT NULL PRIMARY KEY,
	failures INTEGER NOT NULL,
	last INTEGER NOT NULL,
	until INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX failure_last ON failure (last);

INSERT INTO counter (name, next) VALUES ('ending', 1), ('directory', 1);
