-- Messages of an account in the order of their internal dates: as in 0012, where they
-- came in another order only those are indexed that came after one with a later date.
ALTER TABLE message ADD COLUMN behind INTEGER NOT NULL DEFAULT 0;
-- What the header claims, again: so that a whole account is sorted by it without what
-- is only shown.
ALTER TABLE message ADD COLUMN sent_at INTEGER NOT NULL DEFAULT -9223372036854775808;

-- The last message in order, and its date; key 0 is none yet. How many messages and
-- threads are visible.
ALTER TABLE account ADD COLUMN peak INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN peak_key INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN emails INTEGER NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN threads INTEGER NOT NULL DEFAULT 0;

UPDATE message SET sent_at = c.sent_at FROM content c WHERE c.account_id = message.account_id AND c.content_id = message.content_id;

UPDATE message SET behind = d.behind FROM (
	SELECT account_id, message_key, max(CASE WHEN astray = 0 THEN message_key END) OVER (PARTITION BY account_id ORDER BY message_key) AS behind, astray
	FROM (SELECT account_id, message_key, internal_date < max(internal_date) OVER (PARTITION BY account_id ORDER BY message_key) AS astray FROM message m) x) d
WHERE message.account_id = d.account_id AND message.message_key = d.message_key AND d.astray = 1;

UPDATE account SET (peak, peak_key) = (SELECT m.internal_date, m.message_key FROM message m
	WHERE m.account_id = account.account_id AND m.behind = 0 ORDER BY m.message_key DESC LIMIT 1)
WHERE EXISTS (SELECT 1 FROM message m WHERE m.account_id = account.account_id);

UPDATE account SET emails = (SELECT count(*) FROM message m WHERE m.account_id = account.account_id AND m.visible = 1),
	threads = (SELECT count(*) FROM thread t WHERE t.account_id = account.account_id AND t.emails > 0);

CREATE INDEX message_astray ON message (account_id, internal_date, message_key) WHERE behind > 0 AND visible = 1;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES ('message', 'message_astray', '100000 2000 1 1');
ANALYZE sqlite_schema;
