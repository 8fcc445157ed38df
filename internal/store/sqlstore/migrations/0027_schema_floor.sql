-- What a program that does not know a step has to know to work on the database all
-- the same, and who took the step when. reads_from NULL is the step itself, taken 0
-- before this was noted; program is the version that took it; missed is 1 while
-- what a program did that does not know the step was not looked at.

ALTER TABLE schema_version ADD COLUMN reads_from INTEGER;
ALTER TABLE schema_version ADD COLUMN taken INTEGER NOT NULL DEFAULT 0;
ALTER TABLE schema_version ADD COLUMN program TEXT NOT NULL DEFAULT '';
ALTER TABLE schema_version ADD COLUMN missed INTEGER NOT NULL DEFAULT 0;
