-- Placements in the order of their internal dates. In most mailboxes that is nearly
-- the order of their UIDs, so only those are indexed that came after one with a
-- later date: behind is the UID of the last before it that was in order, 0 is in order.
ALTER TABLE placement ADD COLUMN received INTEGER NOT NULL DEFAULT 0;
ALTER TABLE placement ADD COLUMN behind INTEGER NOT NULL DEFAULT 0;

-- The last placement in order, and its date; UID 0 is none yet.
ALTER TABLE mailbox ADD COLUMN peak INTEGER NOT NULL DEFAULT 0;
ALTER TABLE mailbox ADD COLUMN peak_uid INTEGER NOT NULL DEFAULT 0;

UPDATE placement SET received = (SELECT m.internal_date FROM message m WHERE m.account_id = placement.account_id AND m.message_key = placement.message_key);

UPDATE placement SET behind = d.behind FROM (
	SELECT account_id, mailbox_id, uid, max(CASE WHEN astray = 0 THEN uid END) OVER (PARTITION BY account_id, mailbox_id ORDER BY uid) AS behind, astray
	FROM (SELECT account_id, mailbox_id, uid, received < max(received) OVER (PARTITION BY account_id, mailbox_id ORDER BY uid) AS astray FROM placement) p) d
WHERE placement.account_id = d.account_id AND placement.mailbox_id = d.mailbox_id AND placement.uid = d.uid AND d.astray = 1;

UPDATE mailbox SET (peak, peak_uid) = (SELECT p.received, p.uid FROM placement p
	WHERE p.account_id = mailbox.account_id AND p.mailbox_id = mailbox.mailbox_id AND p.behind = 0 ORDER BY p.uid DESC LIMIT 1)
WHERE EXISTS (SELECT 1 FROM placement p WHERE p.account_id = mailbox.account_id AND p.mailbox_id = mailbox.mailbox_id);

CREATE INDEX placement_astray ON placement (account_id, mailbox_id, received, uid) WHERE behind > 0;

-- Most placements began their lines, and are found by their ids, which grow with the
-- UIDs of a mailbox.
CREATE INDEX placement_line ON placement (account_id, mailbox_id, abs(lineage)) WHERE lineage <> placement_id;
CREATE INDEX vanished_placement_line ON vanished_placement (account_id, mailbox_id, abs(lineage)) WHERE lineage <> placement_id;
