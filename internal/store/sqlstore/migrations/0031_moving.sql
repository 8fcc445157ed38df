-- reads from: 0027
-- How the rows move between engines: a row says that they are on their way in, or have
-- gone. Without one the database is like any other.
CREATE TABLE moving (
  state  TEXT NOT NULL,
  origin TEXT NOT NULL, -- which database they come from
  peer   TEXT NOT NULL, -- where that is, or where they went, for people
  at     INTEGER NOT NULL
) STRICT;
