-- What is sealed does not compress, and PostgreSQL would try with each record; small
-- ones lie in the row, not in a second table with an index of its own.
-- reads from: 0027
ALTER TABLE blob_bytes ALTER COLUMN bytes SET STORAGE EXTERNAL;
ALTER TABLE blob_bytes SET (toast_tuple_target = 8160);
