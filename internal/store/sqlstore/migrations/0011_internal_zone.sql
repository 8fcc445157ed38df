-- Minutes east of UTC of the zone that the internal date was given in.
ALTER TABLE message ADD COLUMN internal_zone INTEGER NOT NULL DEFAULT 0;
