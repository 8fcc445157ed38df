-- Whether a device may come in (0 allowed, 1 blocked, 2 quarantined), how far its
-- wipe has come, and what it told of itself: JSON of mail.Told.
ALTER TABLE device RENAME COLUMN blocked TO access;
ALTER TABLE device ADD COLUMN wipe_scope TEXT NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN wipe_state TEXT NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN wipe_at INTEGER NOT NULL DEFAULT -9223372036854775808;
ALTER TABLE device ADD COLUMN wipe_status TEXT NOT NULL DEFAULT '';
ALTER TABLE device ADD COLUMN told TEXT NOT NULL DEFAULT '{}';
