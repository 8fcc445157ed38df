-- reads from: 0027
-- How the rows move between engines: a row says that they are on their way in, or have
-- gone. Without one the database is like any other.
CREATE TABLE moving (
  state text COLLATE "C" NOT NULL,
  origin text COLLATE "C" NOT NULL, -- which database they come from
  peer text COLLATE "C" NOT NULL, -- where that is, or where they went, for people
  at bigint NOT NULL
);
