1 2 3 4 5 6 7 8 9 10 11 12 14 16 17 18 19 20 21 22 23 24 27
DELETE FROM account WHERE account_id = ?1
;
DELETE FROM acl WHERE account_id = ?1 AND rights = 0 AND modseq <= ?2
;
DELETE FROM address WHERE domain = ?1 AND local = ?2
;
DELETE FROM address WHERE owner_id = ?1
;
DELETE FROM annotation WHERE account_id = ?1 AND EXISTS (SELECT 1 FROM vanished_placement v WHERE v.account_id = ?1
	AND v.mailbox_id = annotation.mailbox_id AND v.uid = annotation.uid AND v.vanished <= ?2)
;
DELETE FROM annotation WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?3)
;
DELETE FROM annotation WHERE account_id = ?1 AND modseq <= ?2 AND there = 0
;
DELETE FROM blob WHERE name = ?1
;
DELETE FROM blob_part WHERE whole = ?1
;
DELETE FROM content WHERE account_id = ?1 AND content_id = ?2
;
DELETE FROM content WHERE account_id = ?1 AND content_id IN
	(SELECT content_id FROM message WHERE account_id = ?1 AND placements = 0 AND left_modseq <= ?2)
;
DELETE FROM content WHERE account_id = ?1 AND content_id IN (SELECT content_id FROM message WHERE account_id = ?1 ORDER BY message_key LIMIT ?2)
;
DELETE FROM credential WHERE credential_id = ?1
;
DELETE FROM credential WHERE principal_id = ?1 AND kind = ?2
;
DELETE FROM credential WHERE principal_id IN (SELECT principal_id FROM principal WHERE owner_id = ?1)
;
DELETE FROM cursor WHERE account_id = ?1 AND device_id = ?2 AND name = ?3
;
DELETE FROM deleting WHERE account_id = ?1 AND since <= ?2
;
DELETE FROM domain WHERE NOT EXISTS (SELECT 1 FROM address a WHERE a.domain = domain.name)
;
DELETE FROM flood WHERE account_id = ?1 AND flood_id = ?2
;
DELETE FROM intent WHERE intent_id = ?1
;
DELETE FROM intent WHERE owner_id = ?1
;
DELETE FROM journal WHERE account_id = ?1 AND modseq <= ?2
;
DELETE FROM kept_address WHERE owner_id = ?1
;
DELETE FROM mailbox WHERE account_id = ?1 AND mailbox_id = ?2
;
DELETE FROM member WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3
;
DELETE FROM memory WHERE account_id = ?1 AND key = ?2
;
DELETE FROM memory WHERE account_id = ?1 AND until <= ?2
;
DELETE FROM message WHERE account_id = ?1 AND message_key IN (SELECT message_key FROM message WHERE account_id = ?1 ORDER BY message_key LIMIT ?2)
;
DELETE FROM message WHERE account_id = ?1 AND placements = 0 AND left_modseq <= ?2
;
DELETE FROM metadata WHERE account_id = ?1 AND modseq <= ?2 AND mailbox_id > 0
	AND mailbox_id NOT IN (SELECT b.mailbox_id FROM mailbox b WHERE b.account_id = ?1)
	AND NOT EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = 1 AND v.id = metadata.mailbox_id)
;
DELETE FROM metadata WHERE account_id = ?1 AND modseq <= ?2 AND there = 0
;
DELETE FROM metadata WHERE account_id = ?1 AND who = ?2
;
DELETE FROM object WHERE account_id = ?1 AND type = ?2 AND object_id = ?3
;
DELETE FROM person WHERE principal_id IN (SELECT principal_id FROM principal WHERE owner_id = ?1)
;
DELETE FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?3)
;
DELETE FROM preference WHERE account_id = ?1 AND name = ?2
;
DELETE FROM principal WHERE owner_id = ?1 AND removed = 1
;
DELETE FROM queue WHERE delivery = ?2 AND owner_id = ?1 AND arrived > ?3 AND (next_attempt = arrived OR restored = 1)
;
DELETE FROM queue WHERE outgoing_id = ?1
;
DELETE FROM queue WHERE owner_id = ?1
;
DELETE FROM queue WHERE restored = 1 AND (?1 = 0 OR outgoing_id = ?1)
;
DELETE FROM seen WHERE account_id = ?1 AND (mailbox_id, principal_id, uid) IN
	(SELECT v.mailbox_id, m.principal_id, v.uid FROM vanished_placement v JOIN member m ON m.account_id = v.account_id AND m.mailbox_id = v.mailbox_id
	WHERE v.account_id = ?1 AND v.vanished <= ?2)
;
DELETE FROM seen WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3 AND uid IN (SELECT uid FROM seen WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3 LIMIT ?4)
;
DELETE FROM share WHERE owner_id = ?1
;
DELETE FROM share WHERE principal_id = ?1 AND owner_id = ?2
;
DELETE FROM sign_in WHERE principal_id = ?1 AND ends <= ?2
;
DELETE FROM sign_in WHERE principal_id IN (SELECT principal_id FROM principal WHERE owner_id = ?1)
;
DELETE FROM sign_in WHERE sign_in_id = ?1
;
DELETE FROM subscription WHERE account_id = ?1 AND path = ?2
;
DELETE FROM thread_name WHERE account_id = ?1 AND name = ?2 AND thread_id = ?3
;
DELETE FROM upload WHERE account_id = ?1 AND until <= ?2
;
DELETE FROM upload WHERE account_id = ?1 AND upload_id = ?2
;
DELETE FROM vanished WHERE account_id = ?1 AND modseq <= ?2
;
DELETE FROM vanished WHERE account_id = ?1 AND type = ?2 AND modseq = ?3 AND id IN list(?4)
;
DELETE FROM vanished_placement WHERE account_id = ?1 AND vanished <= ?2
;
INSERT INTO account (account_id, name, head, epoch, horizon, last_mailbox, last_email, last_thread, last_placement,
	next_id, next_uidvalidity, quota, used, disabled, created) VALUES (?1, ?2, 0, 1, 0, 0, 0, 0, 0, ?5, ?6, ?3, 0, 0, ?4)
;
INSERT INTO acl (account_id, mailbox_id, principal_id, rights, modseq) VALUES (?1, ?2, ?3, ?4, ?5)
	ON CONFLICT (account_id, mailbox_id, principal_id) DO UPDATE SET rights = excluded.rights, modseq = excluded.modseq
;
INSERT INTO address (domain, local, owner_id, alias) VALUES (?1, ?2, ?3, ?4)
;
INSERT INTO annotation (account_id, mailbox_id, uid, shared, who, name, modseq, there, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
	ON CONFLICT (account_id, mailbox_id, uid, shared, who, name) DO UPDATE SET modseq = excluded.modseq, there = excluded.there, value = excluded.value
;
INSERT INTO blob (name, size, place, key, touched) VALUES (?1, ?2, ?3, ?4, ?5)
	ON CONFLICT (name) DO UPDATE SET place = excluded.place, key = excluded.key, touched = excluded.touched, condemned = 0
;
INSERT INTO blob (name, size, place, key, touched) VALUES (?1, ?2, ?3, ?4, ?5)
	ON CONFLICT (name) DO UPDATE SET size = excluded.size, place = excluded.place, key = excluded.key, touched = excluded.touched, condemned = 0
;
INSERT INTO blob (name, size, place, key, touched) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT (name) DO NOTHING
;
INSERT INTO blob_part (whole, n, part) VALUES (?1, ?2, ?3)
;
INSERT INTO content (account_id, blob, sent_at, message_id, parsed, preview, names) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
;
INSERT INTO credential (credential_id, principal_id, kind, name, verifier, scram, protocols, device_id, created, last_used, token) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
;
INSERT INTO cursor (account_id, device_id, name, state) VALUES (?1, ?2, ?3, ?4)
	ON CONFLICT (account_id, device_id, name) DO UPDATE SET state = excluded.state
;
INSERT INTO deleting (account_id, device_id, mailbox_id, since, first, messages) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
	ON CONFLICT (account_id, device_id, mailbox_id) DO UPDATE SET since = excluded.since, first = excluded.first, messages = excluded.messages
;
INSERT INTO device (account_id, device_id, name, key, protocol, client, created, last_seen, last_addr, access, wipe_scope, wipe_state, wipe_at, wipe_status, told)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
;
INSERT INTO domain (name) VALUES (?1) ON CONFLICT DO NOTHING
;
INSERT INTO erasure (erasure_id, begun, open, state, proof) VALUES (?1, ?2, 1, ?3, x'')
;
INSERT INTO flood (account_id, flood_id, device_id, first, last, began, ended, removed, told) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
	ON CONFLICT (account_id, flood_id) DO UPDATE SET first = excluded.first, last = excluded.last, began = excluded.began, ended = excluded.ended, removed = excluded.removed, told = excluded.told
;
INSERT INTO intent (intent_id, owner_id, state) VALUES (?1, ?2, ?3)
;
INSERT INTO journal (account_id, modseq, act, undoes, at, actor, device_id, session, protocol, cause, version, entries)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
;
INSERT INTO kept_address (owner_id, domain, local, alias) SELECT owner_id, domain, local, alias FROM address WHERE owner_id = ?1
;
INSERT INTO mailbox (account_id, mailbox_id, parent_id, name, path, role, uidvalidity, uidnext, recent, sort_order, created,
	modseq, highest_modseq, props_modseq, counts_modseq, placements, unseen, deleted, size, emails, unread_emails, threads, unread_threads)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11, ?11, ?11, ?11, 0, 0, 0, 0, 0, 0, 0, 0)
;
INSERT INTO member (account_id, mailbox_id, principal_id, seen, modseq) VALUES (?1, ?2, ?3, ?4, ?5)
;
INSERT INTO memory (account_id, key, mailbox_id, uid, until, image) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
	ON CONFLICT (account_id, key) DO UPDATE SET mailbox_id = excluded.mailbox_id, uid = excluded.uid, until = excluded.until, image = excluded.image
;
INSERT INTO message (account_id, message_key, email_id, thread_id, size, internal_date, created, modseq, visible, placements, left_modseq, born, named, content_id, internal_zone, behind, sent_at)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
;
INSERT INTO metadata (account_id, mailbox_id, who, name, modseq, there, value) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
	ON CONFLICT (account_id, mailbox_id, who, name) DO UPDATE SET modseq = excluded.modseq, there = excluded.there, value = excluded.value
;
INSERT INTO object (account_id, type, object_id, created, modseq, data) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
	ON CONFLICT (account_id, type, object_id) DO UPDATE SET modseq = excluded.modseq, data = excluded.data
;
INSERT INTO person (domain, word, principal_id) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING
;
INSERT INTO placement (account_id, mailbox_id, uid, placement_id, message_key, lineage, system, keywords, save_date, created, modseq, changed_by, size, content_id, received, behind)
	SELECT account_id, ?3, ?4 - 1 + n, ?5 - 1 + n, message_key, ?5 - 1 + n, system, keywords, ?6, ?7, ?7, ?8, size, content_id,
	received, CASE WHEN astray THEN coalesce(max(CASE WHEN astray THEN NULL ELSE ?4 - 1 + n END) OVER (ORDER BY uid), ?10) ELSE 0 END
	FROM (SELECT p.*, row_number() OVER (ORDER BY uid) AS n, received < max(?11, max(received) OVER (ORDER BY uid)) AS astray
	FROM placement p WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?9)) x
;
INSERT INTO placement (account_id, mailbox_id, uid, placement_id, message_key, lineage, system, keywords, save_date, created, modseq, changed_by, size, content_id, received, behind)
	SELECT account_id, mailbox_id, ?3 - 1 + n, ?4 - 1 + n, message_key,
	CASE WHEN lineage > 0 THEN lineage ELSE ?4 - 1 + n END, system, keywords, save_date, ?5, ?5, ?6, size, content_id,
	received, CASE WHEN astray THEN coalesce(max(CASE WHEN astray THEN NULL ELSE ?3 - 1 + n END) OVER (ORDER BY uid), ?8) ELSE 0 END
	FROM (SELECT v.*, m.content_id, m.internal_date AS received, row_number() OVER (ORDER BY v.uid) AS n,
	m.internal_date < max(?9, max(m.internal_date) OVER (ORDER BY v.uid)) AS astray
	FROM vanished_placement v JOIN message m ON m.account_id = v.account_id AND m.message_key = v.message_key
	WHERE v.account_id = ?1 AND v.mailbox_id = ?2 AND v.uid IN list(?7)) x
;
INSERT INTO placement (account_id, mailbox_id, uid, placement_id, message_key, lineage, system, keywords, save_date, created, modseq, changed_by, size, content_id, received, behind)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
;
INSERT INTO preference (account_id, name, value) VALUES (?1, ?2, ?3)
	ON CONFLICT (account_id, name) DO UPDATE SET value = excluded.value
;
INSERT INTO principal (principal_id, login, owner_id, disabled, name) VALUES (?1, ?2, ?3, 0, ?4)
;
INSERT INTO queue (outgoing_id, delivery, owner_id, blob, reverse_path, recipient, options, arrived, attempts, next_attempt, last_error)
	VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
;
INSERT INTO schema_version (version) VALUES (?1)
;
INSERT INTO seen (account_id, mailbox_id, principal_id, uid, seen, modseq) SELECT ?1, ?2, ?3, value, ?4, ?5 FROM list(?6) AS l WHERE 1 = 1
	ON CONFLICT (account_id, mailbox_id, principal_id, uid) DO UPDATE SET seen = excluded.seen, modseq = excluded.modseq
;
INSERT INTO share (principal_id, owner_id, live) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING
;
INSERT INTO share (principal_id, owner_id, live) VALUES (?1, ?2, 1) ON CONFLICT (principal_id, owner_id) DO UPDATE SET live = 1
;
INSERT INTO sign_in (sign_in_id, key, principal_id, kind, device_id, client, state, addr, created, last_seen, ends) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
;
INSERT INTO subscription (account_id, path) VALUES (?1, ?2) ON CONFLICT DO NOTHING
;
INSERT INTO thread (account_id, thread_id, emails, unread, created, modseq, born, places) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
;
INSERT INTO thread_name (account_id, name, thread_id) VALUES (?1, ?2, ?3)
	ON CONFLICT (account_id, name) DO UPDATE SET thread_id = excluded.thread_id
;
INSERT INTO upload (account_id, upload_id, blob, size, type, created, until, emails) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
;
INSERT INTO vanished (account_id, type, modseq, id, created, why) SELECT ?1, ?2, ?3, value, ?4, ?5 FROM list(?6) AS l WHERE 1 = 1
;
INSERT INTO vanished (account_id, type, modseq, id, created, why, image) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
;
INSERT INTO vanished_placement (account_id, mailbox_id, uid, placement_id, message_key, lineage, system, keywords, save_date, created, modseq, changed_by, size, vanished, why)
	SELECT account_id, mailbox_id, uid, placement_id, message_key, lineage, system, keywords, save_date, created, modseq, changed_by, size, ?3, ?4
	FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?5)
;
SELECT 'UID ' || n.uid || ', ' || n.name FROM annotation n WHERE n.account_id = ?1
	AND NOT EXISTS (SELECT 1 FROM placement p WHERE p.account_id = ?1 AND p.mailbox_id = n.mailbox_id AND p.uid = n.uid)
	AND NOT EXISTS (SELECT 1 FROM vanished_placement v WHERE v.account_id = ?1 AND v.mailbox_id = n.mailbox_id AND v.uid = n.uid)
;
SELECT 'UID ' || p.uid FROM placement p
	WHERE p.account_id = ?1 AND NOT EXISTS (SELECT 1 FROM mailbox b WHERE b.account_id = ?1 AND b.mailbox_id = p.mailbox_id)
;
SELECT 'UID ' || p.uid FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	WHERE p.account_id = ?1 AND p.content_id <> m.content_id
;
SELECT 'mailbox ' || m.mailbox_id || ', member ' || m.principal_id FROM member m WHERE m.account_id = ?1 AND m.seen <> (SELECT count(*) FROM seen s JOIN placement p ON p.account_id = s.account_id AND p.mailbox_id = s.mailbox_id AND p.uid = s.uid
	WHERE s.account_id = ?1 AND s.mailbox_id = m.mailbox_id AND s.principal_id = m.principal_id AND s.seen = 1)
;
SELECT 'mailbox ' || mailbox_id || ', UID ' || uid FROM (SELECT mailbox_id, uid, placement_id,
	max(placement_id) OVER (PARTITION BY mailbox_id ORDER BY uid) AS most FROM placement WHERE account_id = ?1) p WHERE placement_id < most
;
SELECT 'message ' || m.message_key FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
	WHERE m.account_id = ?1 AND m.sent_at <> c.sent_at
;
SELECT 'says ' || a.emails || ' and ' || a.threads FROM account a WHERE a.account_id = ?1
	AND (a.emails <> (SELECT count(*) FROM message m WHERE m.account_id = ?1 AND m.visible = 1) OR a.threads <> (SELECT count(*) FROM thread t WHERE t.account_id = ?1 AND t.emails > 0))
;
SELECT 'says ' || a.used FROM account a WHERE a.account_id = ?1
	AND a.used <> coalesce((SELECT sum(size) FROM message m WHERE m.account_id = ?1 AND m.placements > 0), 0)
;
SELECT 1 FROM acl WHERE account_id = ?1 AND principal_id = ?2 AND rights <> 0 LIMIT 1
;
SELECT 1 FROM blob_part WHERE part = ?1 LIMIT 1
;
SELECT 1 FROM content WHERE blob = ?1 LIMIT 1
;
SELECT 1 FROM domain WHERE name = ?1
;
SELECT 1 FROM person LIMIT 1
;
SELECT 1 FROM pragma_table_info('schema_version') WHERE name = 'reads_from'
;
SELECT 1 FROM queue WHERE blob = ?1 LIMIT 1
;
SELECT 1 FROM queue WHERE delivery = ?1 AND recipient = ?2
;
SELECT 1 FROM schema_version LIMIT 1
;
SELECT 1 FROM sqlite_schema WHERE name = 'schema_version'
;
SELECT 1 FROM upload WHERE blob = ?1 LIMIT 1
;
SELECT DISTINCT account_id FROM flood WHERE told = 0 AND account_id NOT IN (SELECT account_id FROM account WHERE kept = 1)
;
SELECT DISTINCT domain FROM address WHERE owner_id = ?1 ORDER BY domain LIMIT ?2
;
SELECT DISTINCT principal_id, 0 FROM member WHERE account_id = ?1
;
SELECT DISTINCT principal_id, 1 FROM acl WHERE account_id = ?1 AND rights <> 0
;
SELECT DISTINCT who, 0 FROM metadata WHERE account_id = ?1 AND who <> 0
;
SELECT access, wipe_state, count(*) FROM device WHERE account_id NOT IN (SELECT account_id FROM account WHERE kept = 1) GROUP BY access, wipe_state
;
SELECT account_id, epoch, head FROM account ORDER BY account_id
;
SELECT account_id, epoch, head FROM account WHERE account_id = ?1
;
SELECT account_id, head, epoch, next_id, next_uidvalidity FROM account WHERE account_id > ?1 ORDER BY account_id LIMIT ?2
;
SELECT at FROM journal WHERE account_id = ?1 AND modseq = ?2
;
SELECT at FROM mark
;
SELECT b.name, b.size, b.place, b.key, p.part FROM blob b LEFT JOIN blob_part p ON p.whole = b.name
	WHERE b.name = ?1 AND b.condemned = 0 ORDER BY p.n
;
SELECT b.path FROM mailbox b WHERE b.account_id = ?1 AND b.annotation_bytes <>
	(SELECT coalesce(sum(length(n.name) + length(n.value) + 64), 0) FROM annotation n WHERE n.account_id = ?1 AND n.mailbox_id = b.mailbox_id)
;
SELECT b.path || ', UID ' || p.uid FROM placement p JOIN mailbox b ON b.account_id = p.account_id AND b.mailbox_id = p.mailbox_id
	JOIN account a ON a.account_id = p.account_id
	WHERE p.account_id = ?1 AND (p.uid >= b.uidnext OR p.modseq > b.highest_modseq OR p.created > p.modseq OR b.highest_modseq > a.head)
;
SELECT b.path || ', UID ' || p.uid FROM placement p JOIN mailbox b ON b.account_id = p.account_id AND b.mailbox_id = p.mailbox_id
	WHERE p.account_id = ?1 AND NOT EXISTS (SELECT 1 FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
	WHERE m.account_id = ?1 AND m.message_key = p.message_key)
;
SELECT blob, size, type, created, until, emails FROM upload WHERE account_id = ?1 AND upload_id = ?2 AND until > ?3
;
SELECT coalesce(sum(annotation_bytes), 0) FROM mailbox WHERE account_id = ?1
;
SELECT coalesce(sum(length(name) + length(value) + 64), 0) FROM annotation WHERE account_id = ?1 AND mailbox_id = ?2
;
SELECT coalesce(sum(length(value)), 0) FROM metadata WHERE account_id = ?1
;
SELECT count(*) FROM device WHERE account_id = ?1
;
SELECT count(*) FROM mailbox WHERE account_id = ?1
;
SELECT count(*) FROM message WHERE account_id = ?1 AND behind > 0 AND visible = 1 AND (internal_date, message_key) > (?2, ?3)
;
SELECT count(*) FROM message WHERE account_id = ?1 AND message_key > ?2 AND behind = 0 AND visible = 1 AND (internal_date, message_key) > (?3, ?4)
;
SELECT count(*) FROM metadata WHERE account_id = ?1 AND mailbox_id = ?2 AND who = ?3 AND there = 1 AND name > ?4 AND name < ?5
;
SELECT count(*) FROM object WHERE account_id = ?1 AND type = ?2
;
SELECT count(*) FROM queue WHERE restored = 1
;
SELECT count(*), coalesce(sum(size), 0) FROM upload WHERE account_id = ?1
;
SELECT credential_id, principal_id, kind, name, verifier, scram, protocols, device_id, created, last_used, token FROM credential WHERE principal_id = ?1 ORDER BY credential_id
;
SELECT credential_id, principal_id, kind, name, verifier, scram, protocols, device_id, created, last_used, token FROM credential WHERE token = ?1
;
SELECT device_id, name, key, protocol, client, created, last_seen, last_addr, access, wipe_scope, wipe_state, wipe_at, wipe_status, told FROM device WHERE account_id = ?1 AND device_id = ?2
;
SELECT device_id, name, key, protocol, client, created, last_seen, last_addr, access, wipe_scope, wipe_state, wipe_at, wipe_status, told FROM device WHERE account_id = ?1 AND key = ?2
;
SELECT device_id, name, key, protocol, client, created, last_seen, last_addr, access, wipe_scope, wipe_state, wipe_at, wipe_status, told FROM device WHERE account_id = ?1 ORDER BY device_id
;
SELECT erasure_id, begun, open, NULL, proof FROM erasure ORDER BY erasure_id
;
SELECT erasure_id, begun, open, state, proof FROM erasure ORDER BY erasure_id
;
SELECT flood_id, device_id, first, last, began, ended, removed, told FROM flood WHERE account_id = ?1 ORDER BY flood_id
;
SELECT id, at, uid, NULL, at FROM (
SELECT * FROM (SELECT x.placement_id AS id, x.modseq AS at, x.uid AS uid FROM placement x
	WHERE x.account_id = ?1 AND x.mailbox_id = ?7 AND x.modseq > ?2 AND x.modseq <= ?3 AND x.modseq >= max(?4, ?9) AND (x.modseq > ?4 OR x.uid > ?5)
	AND x.created <= ?2 AND x.modseq > x.created AND NOT EXISTS (SELECT 1 FROM seen s
		WHERE s.account_id = ?1 AND s.mailbox_id = ?7 AND s.principal_id = ?8 AND s.uid = x.uid AND s.modseq > x.modseq)
	ORDER BY x.modseq, x.uid LIMIT ?6)
UNION ALL
SELECT * FROM (SELECT x.placement_id AS id, s.modseq AS at, x.uid AS uid FROM seen s CROSS JOIN placement x
	WHERE s.account_id = ?1 AND s.mailbox_id = ?7 AND s.principal_id = ?8 AND s.modseq > ?2 AND s.modseq <= ?3 AND s.modseq >= max(?4, ?9)
	AND (s.modseq > ?4 OR s.uid > ?5) AND x.account_id = ?1 AND x.mailbox_id = ?7 AND x.uid = s.uid AND x.created <= ?2 AND x.modseq < s.modseq
	ORDER BY s.modseq, s.uid LIMIT ?6)
UNION ALL
SELECT * FROM (SELECT x.placement_id AS id, ?9 AS at, x.uid AS uid FROM placement x
	WHERE ?9 > ?2 AND ?9 <= ?3 AND ?9 >= ?4 AND x.account_id = ?1 AND x.mailbox_id = ?7 AND x.uid > CASE WHEN ?9 = ?4 THEN ?5 ELSE 0 END
	AND x.created <= ?2 AND x.modseq < ?9 AND NOT EXISTS (SELECT 1 FROM seen s
		WHERE s.account_id = ?1 AND s.mailbox_id = ?7 AND s.principal_id = ?8 AND s.uid = x.uid AND s.modseq >= ?9)
	ORDER BY x.uid LIMIT ?6))
ORDER BY at, uid LIMIT ?6
;
SELECT instance, generation, restores FROM mark
;
SELECT intent_id, owner_id, state FROM intent ORDER BY intent_id
;
SELECT key, image FROM memory WHERE account_id = ?1
;
SELECT length(value) FROM annotation WHERE account_id = ?1 AND mailbox_id = ?2 AND uid = ?3 AND shared = ?4 AND who = ?5 AND name = ?6
;
SELECT local, domain, owner_id, alias FROM address WHERE domain = ?1 AND local = ?2
;
SELECT local, domain, owner_id, alias FROM address WHERE domain = ?1 AND local IN (?2, '') ORDER BY local DESC LIMIT 1
;
SELECT local, domain, owner_id, alias FROM address WHERE owner_id = ?1 ORDER BY alias, domain, local
;
SELECT local, domain, owner_id, alias FROM kept_address WHERE owner_id = ?1 ORDER BY alias, domain, local
;
SELECT m.email_id, m.thread_id, m.content_id, c.names FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
	WHERE m.account_id = ?1 AND m.message_key = ?2
;
SELECT m.message_key, m.email_id, m.thread_id, m.size, m.internal_date, m.internal_zone, m.created, m.modseq,
	c.blob, c.sent_at, c.message_id, c.parsed, c.preview FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id WHERE m.account_id = ?1 AND m.email_id = ?2 AND m.named = 1 AND m.visible = 1 ORDER BY m.message_key LIMIT 1
;
SELECT m.message_key, m.email_id, m.thread_id, m.size, m.internal_date, m.internal_zone, m.created, m.modseq,
	c.blob, c.sent_at, c.message_id, c.parsed, c.preview FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id WHERE m.account_id = ?1 AND m.message_key = ?2
;
SELECT m.message_key, m.email_id, m.thread_id, m.size, m.internal_date, m.internal_zone, m.created, m.modseq,
	c.blob, c.sent_at, c.message_id, c.parsed, c.preview FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id WHERE m.account_id = ?1 AND m.message_key = ?2 AND m.email_id = ?3 AND m.visible = 1
;
SELECT m.thread_id, c.names FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
	WHERE m.account_id = ?1 AND m.message_key > ?2 ORDER BY m.message_key
;
SELECT mailbox_id FROM acl WHERE account_id = ?1 AND principal_id = ?2 AND rights <> 0
;
SELECT mailbox_id FROM mailbox WHERE account_id = ?1 AND parent_id = ?2 LIMIT 1
;
SELECT mailbox_id FROM mailbox WHERE account_id = ?1 AND role = ?2
;
SELECT mailbox_id FROM member WHERE account_id = ?1 AND principal_id = ?2 LIMIT 1
;
SELECT mailbox_id, name, modseq, there, value FROM metadata WHERE account_id = ?1 AND mailbox_id = ?2 AND (who = 0 AND name > '/q' OR who = ?3 AND name < '/q') AND there = 1
;
SELECT mailbox_id, name, modseq, there, value FROM metadata WHERE account_id = ?1 AND modseq > ?2 AND (who = 0 AND name > '/q' OR who = ?3 AND name < '/q') AND (mailbox_id = 0 OR mailbox_id IN (SELECT b.mailbox_id FROM mailbox b WHERE b.account_id = ?1))
;
SELECT mailbox_id, name, modseq, there, value, who FROM metadata WHERE account_id = ?1 AND there = 1 AND (mailbox_id = 0
	OR mailbox_id IN (SELECT b.mailbox_id FROM mailbox b WHERE b.account_id = ?1) OR mailbox_id IN (SELECT v.id FROM vanished v WHERE v.account_id = ?1 AND v.type = ?2))
;
SELECT mailbox_id, parent_id, name, path, role, uidvalidity, uidnext, recent, sort_order, created,
	highest_modseq, props_modseq, counts_modseq, placements, unseen, deleted, size, emails, unread_emails, threads, unread_threads,
	common_seen, seen_switched, members, annotation_bytes, peak, peak_uid FROM mailbox WHERE account_id = ?1
;
SELECT mailbox_id, parent_id, name, path, role, uidvalidity, uidnext, recent, sort_order, created,
	highest_modseq, props_modseq, counts_modseq, placements, unseen, deleted, size, emails, unread_emails, threads, unread_threads,
	common_seen, seen_switched, members, annotation_bytes, peak, peak_uid FROM mailbox WHERE account_id = ?1 AND mailbox_id = ?2
;
SELECT mailbox_id, parent_id, name, path, role, uidvalidity, uidnext, recent, sort_order, created,
	highest_modseq, props_modseq, counts_modseq, placements, unseen, deleted, size, emails, unread_emails, threads, unread_threads,
	common_seen, seen_switched, members, annotation_bytes, peak, peak_uid FROM mailbox WHERE account_id = ?1 AND path = ?2
;
SELECT mailbox_id, path FROM mailbox WHERE account_id = ?1 AND substr(path, 1, length(?2)) = ?2
;
SELECT mailbox_id, rights FROM acl WHERE account_id = ?1 AND principal_id IN (?2, -1) AND rights <> 0
;
SELECT mailbox_id, uid, created FROM vanished_placement WHERE account_id = ?1 AND message_key = ?2
;
SELECT mailbox_id, uid, message_key, created, modseq, system, size, keywords FROM placement
	WHERE account_id = ?1 ORDER BY mailbox_id, uid
;
SELECT mailbox_id, uid, until, image FROM memory WHERE account_id = ?1 AND key = ?2
;
SELECT mailbox_id, uidnext FROM mailbox WHERE account_id = ?1
;
SELECT mailbox_id, uidvalidity, uidnext, path FROM mailbox
	WHERE account_id = ?1 ORDER BY mailbox_id
;
SELECT message_key FROM (SELECT message_key, internal_date FROM message WHERE account_id = ?1 AND message_key = ?2 - 1 AND thread_id = ?2 AND visible = 1
	UNION ALL SELECT message_key, internal_date FROM message WHERE account_id = ?1 AND thread_id = ?2 AND thread_id <> message_key + 1 AND visible = 1) m ORDER BY internal_date, message_key
;
SELECT message_key FROM message WHERE account_id = ?1 AND placements = 0 AND left_modseq > ?2 AND content_id > 0 ORDER BY left_modseq, message_key
;
SELECT message_key FROM message WHERE account_id = ?1 ORDER BY message_key DESC LIMIT 1
;
SELECT message_key, email_id, thread_id, size, internal_date, internal_zone, sent_at, created, modseq FROM message WHERE account_id = ?1 AND message_key IN list(?2) AND visible = 1 ORDER BY message_key
;
SELECT message_key, email_id, thread_id, size, internal_date, internal_zone, sent_at, created, modseq FROM message WHERE account_id = ?1 AND visible = 1 ORDER BY message_key
;
SELECT message_key, internal_date FROM message WHERE account_id = ?1 AND behind > 0 AND visible = 1
	AND internal_date >= ?2 AND (internal_date, message_key) < (?3, ?4) ORDER BY internal_date DESC, message_key DESC LIMIT ?5
;
SELECT message_key, internal_date, behind, visible FROM message WHERE account_id = ?1 AND message_key <= ?2 ORDER BY message_key DESC
;
SELECT message_key, mailbox_id, uid, system, keywords FROM placement WHERE account_id = ?1 AND system & 8 = 0
;
SELECT message_key, placement_id, mailbox_id, system, keywords FROM placement WHERE account_id = ?1 AND message_key IN list(?2)
;
SELECT min(first) FROM flood WHERE account_id = ?1
;
SELECT modseq FROM journal WHERE account_id = ?1 AND modseq > ?2 AND actor = ?3 ORDER BY modseq LIMIT ?4
;
SELECT modseq, act, undoes, at, actor, device_id, session, protocol, cause, entries FROM journal WHERE account_id = ?1 AND modseq > ?2 AND modseq < ?3
	AND (modseq = ?4 AND act = ?4 OR modseq IN (SELECT j.modseq FROM journal j WHERE j.account_id = ?1 AND j.act = ?4 AND j.act <> j.modseq)) ORDER BY modseq DESC
;
SELECT modseq, act, undoes, at, actor, device_id, session, protocol, cause, entries FROM journal WHERE account_id = ?1 AND modseq > ?2 AND modseq < ?3 ORDER BY modseq DESC
;
SELECT modseq, at FROM journal WHERE account_id = ?1 ORDER BY modseq LIMIT ?2
;
SELECT modseq, entries FROM journal WHERE account_id = ?1 AND modseq >= ?2 ORDER BY modseq
;
SELECT modseq, id, image FROM vanished WHERE account_id = ?1 AND type = ?2 AND image IS NOT NULL
;
SELECT modseq, image FROM vanished WHERE account_id = ?1 AND type = ?2 AND id = ?3 ORDER BY modseq DESC LIMIT 1
;
SELECT name FROM blob WHERE condemned > 0 AND condemned < ?1 LIMIT ?2
;
SELECT name FROM blob WHERE name > ?1 AND condemned = 0 AND touched < ?2
	AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.blob = blob.name) AND NOT EXISTS (SELECT 1 FROM blob_part p WHERE p.part = blob.name)
	ORDER BY name LIMIT ?3
;
SELECT name FROM blob WHERE name > ?1 ORDER BY name LIMIT ?2
;
SELECT name FROM cursor WHERE account_id = ?1 AND device_id = ?2 AND name >= ?3 AND name < ?3 || char(1114111) ORDER BY name
;
SELECT name, head, epoch, horizon, last_mailbox, last_email, last_thread, last_placement, last_identity, last_submission,
	next_id, next_uidvalidity, quota, used, disabled, created, reparsed, named_to, peak, peak_key, emails, threads, horizon_at, restored FROM account WHERE account_id = ?1 AND kept = 0
;
SELECT name, next FROM counter
;
SELECT name, size, place, key FROM blob WHERE place > ?1 AND place < ?2 ORDER BY place LIMIT ?3
;
SELECT name, size, place, key FROM blob WHERE place >= ?1 AND place < ?2 ORDER BY place
;
SELECT name, thread_id FROM thread_name WHERE account_id = ?1 AND name = ?2
;
SELECT name, thread_id FROM thread_name WHERE account_id = ?1 AND name IN list(?2)
;
SELECT next FROM counter WHERE name = ?1
;
SELECT next_attempt FROM queue WHERE restored = 0 ORDER BY next_attempt LIMIT 1
;
SELECT object_id, created, modseq, data FROM object WHERE account_id = ?1 AND type = ?2 AND object_id = ?3
;
SELECT object_id, created, modseq, data FROM object WHERE account_id = ?1 AND type = ?2 ORDER BY object_id
;
SELECT owner_id FROM principal WHERE removed = 1
;
SELECT owner_id FROM share WHERE principal_id = ?1
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size FROM placement p WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid = ?3
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size FROM placement p WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4 ORDER BY p.uid
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size FROM placement p WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4 ORDER BY p.uid DESC
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size FROM placement p WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid IN list(?3) ORDER BY p.uid
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size FROM placement p WHERE p.account_id = ?1 AND p.message_key = ?2
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size FROM placement p WHERE p.account_id = ?1 AND p.placement_id = ?2
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size FROM vanished_placement p WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid = ?3
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, m.internal_date, 0 FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key WHERE p.account_id = ?1 AND p.mailbox_id = ?2
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, m.internal_date, 0 FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND abs(p.lineage) IN list(?3) AND p.lineage <> p.placement_id
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, m.internal_date, 0 FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid = ?3 AND p.lineage = p.placement_id
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, m.internal_date, p.vanished FROM vanished_placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key WHERE p.account_id = ?1 AND p.mailbox_id = ?2
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, m.internal_date, p.vanished FROM vanished_placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid = ?3 AND p.vanished > ?4 AND p.lineage = p.placement_id
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, m.internal_date, p.vanished FROM vanished_placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.vanished > ?4 AND abs(p.lineage) IN list(?3) AND p.lineage <> p.placement_id
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, m.message_key, m.email_id, m.thread_id, m.size, m.internal_date, m.internal_zone, m.created, m.modseq,
	c.blob, c.sent_at, c.message_id, c.parsed, c.preview FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4 ORDER BY p.uid
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, m.message_key, m.email_id, m.thread_id, m.size, m.internal_date, m.internal_zone, m.created, m.modseq,
	c.blob, c.sent_at, c.message_id, c.parsed, c.preview FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4 ORDER BY p.uid DESC
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, m.message_key, m.email_id, m.thread_id, m.size, m.internal_date, m.internal_zone, m.created, m.modseq,
	c.blob, c.sent_at, c.message_id, c.parsed, c.preview, s.seen, s.modseq
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id LEFT JOIN seen s ON s.account_id = p.account_id AND s.mailbox_id = p.mailbox_id AND s.principal_id = ?5 AND s.uid = p.uid
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4 ORDER BY p.uid
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, m.message_key, m.email_id, m.thread_id, m.size, m.internal_date, m.internal_zone, m.created, m.modseq,
	c.blob, c.sent_at, c.message_id, c.parsed, c.preview, s.seen, s.modseq
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id LEFT JOIN seen s ON s.account_id = p.account_id AND s.mailbox_id = p.mailbox_id AND s.principal_id = ?5 AND s.uid = p.uid
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4 ORDER BY p.uid DESC
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, m.thread_id, m.created, m.modseq, m.visible, m.placements, m.left_modseq, m.internal_date FROM placement p CROSS JOIN message m
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4
	AND m.account_id = p.account_id AND m.message_key = p.message_key ORDER BY p.uid
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, m.thread_id, m.created, m.modseq, m.visible, m.placements, m.left_modseq, m.internal_date FROM vanished_placement p CROSS JOIN message m
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4
	AND m.account_id = p.account_id AND m.message_key = p.message_key AND m.content_id > 0 ORDER BY p.uid
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, p.vanished, EXISTS (SELECT 1 FROM message m WHERE m.account_id = p.account_id AND m.message_key = p.message_key AND m.content_id = 0)
	FROM vanished_placement p WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid > ?3
	AND p.created <= ?4 AND p.vanished > ?4 ORDER BY p.uid LIMIT ?5
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, s.seen, s.modseq FROM placement p LEFT JOIN seen s ON s.account_id = p.account_id AND s.mailbox_id = p.mailbox_id AND s.principal_id = ?5 AND s.uid = p.uid
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4 ORDER BY p.uid
;
SELECT p.mailbox_id, p.uid, p.placement_id, p.message_key, p.lineage, p.system, p.keywords, p.save_date,
	p.created, p.modseq, p.changed_by, p.size, s.seen, s.modseq FROM placement p LEFT JOIN seen s ON s.account_id = p.account_id AND s.mailbox_id = p.mailbox_id AND s.principal_id = ?5 AND s.uid = p.uid
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4 ORDER BY p.uid DESC
;
SELECT p.message_key, p.uid, p.save_date, p.size, c.blob, c.parsed FROM placement p JOIN content c ON c.account_id = p.account_id AND c.content_id = p.content_id
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4 ORDER BY p.uid
;
SELECT p.message_key, p.uid, p.save_date, p.size, c.blob, c.parsed FROM placement p JOIN content c ON c.account_id = p.account_id AND c.content_id = p.content_id
	WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid BETWEEN ?3 AND ?4 ORDER BY p.uid DESC
;
SELECT p.principal_id, p.login, p.owner_id, p.disabled, p.name FROM principal p WHERE p.removed = 0 AND p.principal_id <> ?1
	AND p.owner_id IN (SELECT s.owner_id FROM share s WHERE s.live = 1 AND s.principal_id IN (?1, -1)) ORDER BY p.login
;
SELECT part FROM blob_part WHERE whole = ?1 ORDER BY n
;
SELECT path FROM subscription WHERE account_id = ?1 ORDER BY path
;
SELECT principal_id FROM person WHERE domain = ?1 AND word >= ?2 AND word < ?3 ORDER BY word, principal_id LIMIT ?4
;
SELECT principal_id FROM principal WHERE owner_id = ?1
;
SELECT principal_id FROM share WHERE owner_id = ?1 AND live = -1
;
SELECT principal_id, kept_login, owner_id, disabled, name, removed_at FROM principal WHERE removed = 2 AND owner_id = ?1
;
SELECT principal_id, kept_login, owner_id, disabled, name, removed_at FROM principal WHERE removed = 2 ORDER BY removed_at DESC, owner_id DESC
;
SELECT principal_id, live FROM share WHERE owner_id = ?1
;
SELECT principal_id, login, owner_id, disabled, name FROM principal WHERE login = ?1
;
SELECT principal_id, login, owner_id, disabled, name FROM principal WHERE owner_id = ?1 AND removed = 0
;
SELECT principal_id, login, owner_id, disabled, name FROM principal WHERE principal_id = ?1 AND removed = 0
;
SELECT principal_id, login, owner_id, disabled, name FROM principal WHERE removed = 0 ORDER BY principal_id
;
SELECT principal_id, owner_id FROM share WHERE live = -1
;
SELECT principal_id, rights, modseq FROM acl WHERE account_id = ?1 AND mailbox_id = ?2 ORDER BY principal_id
;
SELECT q.outgoing_id, q.delivery, q.owner_id, q.blob, q.reverse_path, q.recipient, q.options, q.arrived, q.attempts,
	q.next_attempt, q.last_error, b.size, b.place, b.key, q.restored FROM queue q JOIN blob b ON b.name = q.blob
;
SELECT q.outgoing_id, q.delivery, q.owner_id, q.blob, q.reverse_path, q.recipient, q.options, q.arrived, q.attempts,
	q.next_attempt, q.last_error, b.size, b.place, b.key, q.restored FROM queue q JOIN blob b ON b.name = q.blob ORDER BY q.next_attempt, q.outgoing_id LIMIT ?1
;
SELECT q.outgoing_id, q.delivery, q.owner_id, q.blob, q.reverse_path, q.recipient, q.options, q.arrived, q.attempts,
	q.next_attempt, q.last_error, b.size, b.place, b.key, q.restored FROM queue q JOIN blob b ON b.name = q.blob WHERE q.delivery = ?2 AND q.owner_id = ?1 ORDER BY q.recipient
;
SELECT q.outgoing_id, q.delivery, q.owner_id, q.blob, q.reverse_path, q.recipient, q.options, q.arrived, q.attempts,
	q.next_attempt, q.last_error, b.size, b.place, b.key, q.restored FROM queue q JOIN blob b ON b.name = q.blob WHERE q.next_attempt <= ?1 AND q.restored = 0 ORDER BY q.next_attempt, q.outgoing_id LIMIT ?2
;
SELECT restoring, restored_to, leap_at, leap_uids, leap_times FROM mark
;
SELECT rootpage FROM sqlite_schema WHERE rootpage > 0
;
SELECT s.principal_id, s.uid FROM member m CROSS JOIN seen s
	WHERE m.account_id = ?1 AND m.mailbox_id = ?2 AND s.account_id = ?1 AND s.mailbox_id = ?2 AND s.principal_id = m.principal_id
	AND s.uid IN list(?3) AND s.seen = 1 ORDER BY s.principal_id, s.uid
;
SELECT seen, modseq FROM member WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3
;
SELECT sign_in_id, key, principal_id, kind, device_id, client, state, addr, created, last_seen, ends FROM sign_in WHERE key = ?1
;
SELECT sign_in_id, key, principal_id, kind, device_id, client, state, addr, created, last_seen, ends FROM sign_in WHERE principal_id = ?1 AND kind = ?2 ORDER BY last_seen DESC, sign_in_id DESC LIMIT -1 OFFSET ?3
;
SELECT sign_in_id, key, principal_id, kind, device_id, client, state, addr, created, last_seen, ends FROM sign_in WHERE principal_id = ?1 ORDER BY sign_in_id
;
SELECT since, first, messages FROM deleting WHERE account_id = ?1 AND device_id = ?2 AND mailbox_id = ?3
;
SELECT size, place, key FROM blob WHERE name = ?1
;
SELECT state FROM cursor WHERE account_id = ?1 AND device_id = ?2 AND name = ?3
;
SELECT state FROM sign_in WHERE sign_in_id = ?1
;
SELECT substr(key, 1, 4), count(*) FROM blob GROUP BY 1
;
SELECT there, value FROM metadata WHERE account_id = ?1 AND mailbox_id = ?2 AND who = ?3 AND name = ?4
;
SELECT thread_id, emails, unread, created, modseq, places FROM thread WHERE account_id = ?1 AND thread_id IN list(?2)
;
SELECT uid FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND modseq > ?3 AND modseq > created UNION ALL
	SELECT p.uid FROM placement p WHERE p.account_id = ?1 AND p.mailbox_id = ?2 AND p.uid > (SELECT coalesce(max(y.uid), 0) FROM
	(SELECT y.uid FROM placement y WHERE y.account_id = ?1 AND y.mailbox_id = ?2 AND y.created <= ?3 ORDER BY y.uid DESC LIMIT 1) y) AND p.modseq = p.created
;
SELECT uid FROM seen WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3 AND modseq > ?4
;
SELECT uid FROM vanished_placement WHERE account_id = ?1 AND mailbox_id = ?2 AND vanished = ?3 AND why = ?4 ORDER BY uid
;
SELECT uid FROM vanished_placement WHERE account_id = ?1 AND mailbox_id = ?2 AND vanished > ?3 ORDER BY uid
;
SELECT uid, placement_id FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND uid >= ?3 ORDER BY uid LIMIT 1
;
SELECT uid, placement_id FROM vanished_placement WHERE account_id = ?1 AND mailbox_id = ?2 AND uid >= ?3 ORDER BY uid LIMIT 1
;
SELECT uid, received FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND behind > 0
	AND received >= ?3 AND (received, uid) < (?4, ?5) ORDER BY received DESC, uid DESC LIMIT ?6
;
SELECT uid, received, behind, 1 FROM placement WHERE account_id = ?1 AND mailbox_id = ?2 AND uid <= ?3 ORDER BY uid DESC
;
SELECT uid, seen, modseq FROM seen WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3 AND uid BETWEEN ?4 AND ?5
;
SELECT uid, shared, who, name, modseq, there, value FROM annotation WHERE account_id = ?1 AND mailbox_id = ?2 AND modseq > ?3
;
SELECT uid, shared, who, name, modseq, there, value FROM annotation WHERE account_id = ?1 AND mailbox_id = ?2 AND uid BETWEEN ?3 AND ?4
	AND there = 1 ORDER BY uid, shared, who, name
;
SELECT upload_id, emails FROM upload WHERE account_id = ?1
;
SELECT upload_id, size FROM upload WHERE account_id = ?1 ORDER BY created, upload_id
;
SELECT v.id, v.modseq, 0, (SELECT m.email_id FROM message m WHERE m.account_id = ?1 AND m.message_key = v.id), v.modseq FROM vanished v
WHERE v.account_id = ?1 AND v.type = ?7 AND v.modseq > ?2 AND v.modseq <= ?3 AND v.modseq >= ?4 AND (v.modseq > ?4 OR v.id > ?5)
AND (v.created <= ?2 OR EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > ?2 AND w.created <= ?2))
AND NOT EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > v.modseq AND w.modseq <= ?3)
AND NOT EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > ?3 AND w.created <= ?3)
AND NOT EXISTS (SELECT 1 FROM message x WHERE x.account_id = ?1 AND x.message_key = v.id AND x.created <= ?3 AND x.visible = 1)
ORDER BY v.modseq, v.id LIMIT ?6
;
SELECT v.id, v.modseq, 0, NULL, v.modseq FROM vanished v
WHERE v.account_id = ?1 AND v.type = ?7 AND v.modseq > ?2 AND v.modseq <= ?3 AND v.modseq >= ?4 AND (v.modseq > ?4 OR v.id > ?5)
AND (v.created <= ?2 OR EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > ?2 AND w.created <= ?2))
AND NOT EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > v.modseq AND w.modseq <= ?3)
AND NOT EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > ?3 AND w.created <= ?3)
AND NOT EXISTS (SELECT 1 FROM mailbox x WHERE x.account_id = ?1 AND x.mailbox_id = v.id AND x.created <= ?3 AND 1 = 1)
ORDER BY v.modseq, v.id LIMIT ?6
;
SELECT v.id, v.modseq, 0, NULL, v.modseq FROM vanished v
WHERE v.account_id = ?1 AND v.type = ?7 AND v.modseq > ?2 AND v.modseq <= ?3 AND v.modseq >= ?4 AND (v.modseq > ?4 OR v.id > ?5)
AND (v.created <= ?2 OR EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > ?2 AND w.created <= ?2))
AND NOT EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > v.modseq AND w.modseq <= ?3)
AND NOT EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > ?3 AND w.created <= ?3)
AND NOT EXISTS (SELECT 1 FROM object x WHERE x.account_id = ?1 AND x.object_id = v.id AND x.created <= ?3 AND x.type = ?7)
ORDER BY v.modseq, v.id LIMIT ?6
;
SELECT v.id, v.modseq, 0, NULL, v.modseq FROM vanished v
WHERE v.account_id = ?1 AND v.type = ?7 AND v.modseq > ?2 AND v.modseq <= ?3 AND v.modseq >= ?4 AND (v.modseq > ?4 OR v.id > ?5)
AND (v.created <= ?2 OR EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > ?2 AND w.created <= ?2))
AND NOT EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > v.modseq AND w.modseq <= ?3)
AND NOT EXISTS (SELECT 1 FROM vanished w WHERE w.account_id = ?1 AND w.type = ?7 AND w.id = v.id AND w.modseq > ?3 AND w.created <= ?3)
AND NOT EXISTS (SELECT 1 FROM thread x WHERE x.account_id = ?1 AND x.thread_id = v.id AND x.created <= ?3 AND x.emails > 0)
ORDER BY v.modseq, v.id LIMIT ?6
;
SELECT v.id, v.modseq, v.image FROM vanished v WHERE v.account_id = ?1 AND v.type = ?2
	AND NOT EXISTS (SELECT 1 FROM mailbox m WHERE m.account_id = ?1 AND m.mailbox_id = v.id) ORDER BY v.modseq
;
SELECT v.placement_id, v.vanished, v.uid, NULL, v.vanished FROM vanished_placement v
WHERE v.account_id = ?1 AND v.mailbox_id = ?7 AND v.vanished > ?2 AND v.vanished <= ?3 AND v.vanished >= ?4 AND (v.vanished > ?4 OR v.uid > ?5)
AND v.created <= ?2
ORDER BY v.vanished, v.uid LIMIT ?6
;
SELECT v.uid FROM vanished_placement v JOIN message m ON m.account_id = v.account_id AND m.message_key = v.message_key
	WHERE v.account_id = ?1 AND v.mailbox_id = ?2 AND v.uid IN list(?3) AND m.content_id = 0
;
SELECT value FROM preference WHERE account_id = ?1 AND name = ?2
;
SELECT verifier FROM credential WHERE credential_id = ?1
;
SELECT version, ifnull(reads_from, version), taken, program, missed FROM schema_version ORDER BY version
;
SELECT version, version, 0, '', 0 FROM schema_version ORDER BY version
;
SELECT word FROM person WHERE principal_id = ?1 AND domain = ?2
;
SELECT x.mailbox_id, x.created, 0, NULL, x.modseq FROM mailbox x
WHERE x.account_id = ?1 AND x.created > ?2 AND x.created <= ?3 AND x.created >= ?4 AND (x.created > ?4 OR x.mailbox_id > ?5) AND 1 = 1 AND 1 = 1
AND NOT EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?7 AND v.id = x.mailbox_id AND v.modseq > ?2 AND v.created <= ?2)
ORDER BY x.created, x.mailbox_id LIMIT ?6
;
SELECT x.mailbox_id, x.modseq, 0, NULL, x.modseq FROM mailbox x
WHERE x.account_id = ?1 AND x.modseq > ?2 AND x.modseq <= ?3 AND x.modseq >= ?4 AND (x.modseq > ?4 OR x.mailbox_id > ?5) AND 1 = 1 AND 1 = 1
AND (x.created <= ?2 OR EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?7 AND v.id = x.mailbox_id AND v.modseq > ?2 AND v.created <= ?2))
ORDER BY x.modseq, x.mailbox_id LIMIT ?6
;
SELECT x.message_key, x.born FROM message x WHERE x.account_id = ?1 AND x.message_key >= ?2 ORDER BY x.message_key LIMIT 1
;
SELECT x.message_key, x.created, 0, x.email_id, x.modseq FROM message x
WHERE x.account_id = ?1 AND x.created > ?2 AND x.created <= ?3 AND x.created >= ?4 AND (x.created > ?4 OR x.message_key > ?5) AND x.visible = 1 AND x.created = x.born
AND x.message_key >= ?8 AND x.message_key < ?9
AND NOT EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?7 AND v.id = x.message_key AND v.modseq > ?2 AND v.created <= ?2)
ORDER BY x.message_key LIMIT ?6
;
SELECT x.message_key, x.created, 0, x.email_id, x.modseq FROM message x
WHERE x.account_id = ?1 AND x.created > ?2 AND x.created <= ?3 AND x.created >= ?4 AND (x.created > ?4 OR x.message_key > ?5) AND x.visible = 1 AND x.created > x.born
AND NOT EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?7 AND v.id = x.message_key AND v.modseq > ?2 AND v.created <= ?2)
ORDER BY x.created, x.message_key LIMIT ?6
;
SELECT x.message_key, x.modseq, 0, x.email_id, x.modseq FROM message x
WHERE x.account_id = ?1 AND x.modseq > ?2 AND x.modseq <= ?3 AND x.modseq >= ?4 AND (x.modseq > ?4 OR x.message_key > ?5) AND x.visible = 1 AND x.modseq > x.born
AND (x.created <= ?2 OR EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?7 AND v.id = x.message_key AND v.modseq > ?2 AND v.created <= ?2))
ORDER BY x.modseq, x.message_key LIMIT ?6
;
SELECT x.object_id, x.created, 0, NULL, x.modseq FROM object x
WHERE x.account_id = ?1 AND x.created > ?2 AND x.created <= ?3 AND x.created >= ?4 AND (x.created > ?4 OR x.object_id > ?5) AND x.type = ?7 AND x.modseq > ?2
AND NOT EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?7 AND v.id = x.object_id AND v.modseq > ?2 AND v.created <= ?2)
ORDER BY x.created, x.object_id LIMIT ?6
;
SELECT x.object_id, x.modseq, 0, NULL, x.modseq FROM object x
WHERE x.account_id = ?1 AND x.modseq > ?2 AND x.modseq <= ?3 AND x.modseq >= ?4 AND (x.modseq > ?4 OR x.object_id > ?5) AND x.type = ?7 AND 1 = 1
AND (x.created <= ?2 OR EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?7 AND v.id = x.object_id AND v.modseq > ?2 AND v.created <= ?2))
ORDER BY x.modseq, x.object_id LIMIT ?6
;
SELECT x.placement_id, x.modseq, x.uid, NULL, x.modseq FROM placement x
WHERE x.account_id = ?1 AND x.mailbox_id = ?7 AND x.modseq > ?2 AND x.modseq <= ?3 AND x.modseq >= ?4 AND (x.modseq > ?4 OR x.uid > ?5)
AND x.created <= ?2 AND x.modseq > x.created
ORDER BY x.modseq, x.uid LIMIT ?6
;
SELECT x.placement_id, x.uid, x.uid, NULL, max(x.modseq, ?9, coalesce((SELECT s.modseq FROM seen s
	WHERE s.account_id = ?1 AND s.mailbox_id = ?7 AND s.principal_id = ?8 AND s.uid = x.uid), 0)) FROM placement x
WHERE x.account_id = ?1 AND x.mailbox_id = ?7 AND x.uid > max(?5, (SELECT coalesce(max(y.uid), 0) FROM
	(SELECT y.uid FROM placement y WHERE ?4 = 0 AND y.account_id = ?1 AND y.mailbox_id = ?7 AND y.created <= ?2 ORDER BY y.uid DESC LIMIT 1) y))
AND x.created > ?2 AND x.created <= ?3
ORDER BY x.uid LIMIT ?6
;
SELECT x.placement_id, x.uid, x.uid, NULL, x.modseq FROM placement x
WHERE x.account_id = ?1 AND x.mailbox_id = ?7 AND x.uid > max(?5, (SELECT coalesce(max(y.uid), 0) FROM
	(SELECT y.uid FROM placement y WHERE ?4 = 0 AND y.account_id = ?1 AND y.mailbox_id = ?7 AND y.created <= ?2 ORDER BY y.uid DESC LIMIT 1) y))
AND x.created > ?2 AND x.created <= ?3
ORDER BY x.uid LIMIT ?6
;
SELECT x.thread_id, x.born FROM thread x WHERE x.account_id = ?1 AND x.thread_id >= ?2 ORDER BY x.thread_id LIMIT 1
;
SELECT x.thread_id, x.created, 0, NULL, x.modseq FROM thread x
WHERE x.account_id = ?1 AND x.created > ?2 AND x.created <= ?3 AND x.created >= ?4 AND (x.created > ?4 OR x.thread_id > ?5) AND x.emails > 0 AND x.created = x.born
AND x.thread_id >= ?8 AND x.thread_id < ?9
AND NOT EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?7 AND v.id = x.thread_id AND v.modseq > ?2 AND v.created <= ?2)
ORDER BY x.thread_id LIMIT ?6
;
SELECT x.thread_id, x.created, 0, NULL, x.modseq FROM thread x
WHERE x.account_id = ?1 AND x.created > ?2 AND x.created <= ?3 AND x.created >= ?4 AND (x.created > ?4 OR x.thread_id > ?5) AND x.emails > 0 AND x.created > x.born
AND NOT EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?7 AND v.id = x.thread_id AND v.modseq > ?2 AND v.created <= ?2)
ORDER BY x.created, x.thread_id LIMIT ?6
;
SELECT x.thread_id, x.modseq, 0, NULL, x.modseq FROM thread x
WHERE x.account_id = ?1 AND x.modseq > ?2 AND x.modseq <= ?3 AND x.modseq >= ?4 AND (x.modseq > ?4 OR x.thread_id > ?5) AND x.emails > 0 AND x.modseq > x.born
AND (x.created <= ?2 OR EXISTS (SELECT 1 FROM vanished v WHERE v.account_id = ?1 AND v.type = ?7 AND v.id = x.thread_id AND v.modseq > ?2 AND v.created <= ?2))
ORDER BY x.modseq, x.thread_id LIMIT ?6
;
UPDATE account SET (peak, peak_key) = (SELECT m.internal_date, m.message_key FROM message m WHERE m.account_id = ?1 AND m.behind = 0
	ORDER BY m.message_key DESC LIMIT 1) WHERE account_id = ?1
;
UPDATE account SET disabled = ?2 WHERE account_id = ?1
;
UPDATE account SET emails = (SELECT count(*) FROM message m WHERE m.account_id = ?1 AND m.visible = 1),
	threads = (SELECT count(*) FROM thread t WHERE t.account_id = ?1 AND t.emails > 0) WHERE account_id = ?1
;
UPDATE account SET head = ?2, last_mailbox = ?3, last_email = ?4, last_thread = ?5, last_placement = ?6,
	next_id = ?7, next_uidvalidity = ?8, quota = ?9, used = ?10, named_to = ?11, last_identity = ?12, last_submission = ?13,
	peak = ?14, peak_key = ?15, emails = ?16, threads = ?17 WHERE account_id = ?1
;
UPDATE account SET head = ?2, restored = ?2, epoch = ?3, next_id = ?4, next_uidvalidity = ?5,
	last_mailbox = ?2, last_email = ?2, last_thread = ?2, last_placement = ?2, last_identity = ?2, last_submission = ?2 WHERE account_id = ?1
;
UPDATE account SET horizon = ?2 WHERE account_id = ?1
;
UPDATE account SET horizon_at = max(horizon_at, ?2) WHERE account_id = ?1
;
UPDATE account SET kept = 0, name = ?2 WHERE account_id = ?1
;
UPDATE account SET kept = 1 WHERE account_id = ?1
;
UPDATE account SET named_to = next_id - 1 WHERE account_id = ?1
;
UPDATE account SET reparsed = reparsed + 1 WHERE account_id = ?1
;
UPDATE account SET used = coalesce((SELECT sum(size) FROM message m WHERE m.account_id = ?1 AND m.placements > 0), 0) WHERE account_id = ?1
;
UPDATE blob SET condemned = ?2 WHERE name = ?1 AND condemned = 0 AND touched < ?3
;
UPDATE blob SET key = ?3 WHERE name = ?1 AND key = ?2
;
UPDATE blob SET place = ?3 WHERE name = ?1 AND place = ?2
;
UPDATE blob SET touched = ?2 WHERE name = ?1 AND condemned = 0
;
UPDATE content SET sent_at = ?3, message_id = ?4, parsed = ?5, preview = ?6 WHERE account_id = ?1 AND content_id = (SELECT content_id FROM message WHERE account_id = ?1 AND message_key = ?2)
;
UPDATE counter SET next = ?2 WHERE name = ?1
;
UPDATE counter SET next = next + 1 WHERE name = ?1 RETURNING next - 1
;
UPDATE credential SET last_used = ?2 WHERE credential_id = ?1
;
UPDATE credential SET verifier = ?2 WHERE credential_id = ?1
;
UPDATE device SET last_seen = ?3, last_addr = ?4 WHERE account_id = ?1 AND device_id = ?2
;
UPDATE device SET name = ?3, access = ?4, wipe_scope = ?5, wipe_state = ?6, wipe_at = ?7, wipe_status = ?8 WHERE account_id = ?1 AND device_id = ?2
;
UPDATE device SET told = ?3 WHERE account_id = ?1 AND device_id = ?2
;
UPDATE erasure SET open = ?2, state = ?3, proof = ?4 WHERE erasure_id = ?1
;
UPDATE journal SET actor = ?3 WHERE account_id = ?1 AND modseq = ?2
;
UPDATE journal SET entries = ?3 WHERE account_id = ?1 AND modseq = ?2
;
UPDATE mailbox SET (peak, peak_uid) = (SELECT p.received, p.uid FROM placement p WHERE p.account_id = ?1 AND p.mailbox_id = mailbox.mailbox_id
	AND p.behind = 0 ORDER BY p.uid DESC LIMIT 1) WHERE account_id = ?1 AND placements > 0
;
UPDATE mailbox SET annotation_bytes = (SELECT coalesce(sum(length(n.name) + length(n.value) + 64), 0) FROM annotation n
	WHERE n.account_id = ?1 AND n.mailbox_id = mailbox.mailbox_id) WHERE account_id = ?1 AND annotation_bytes > 0
;
UPDATE mailbox SET annotation_bytes = 1 WHERE account_id = ?1
;
UPDATE mailbox SET annotation_bytes = ?3 WHERE account_id = ?1 AND mailbox_id = ?2
;
UPDATE mailbox SET common_seen = ?3, seen_switched = ?4, members = ?5 WHERE account_id = ?1 AND mailbox_id = ?2
;
UPDATE mailbox SET highest_modseq = ?2, uidnext = ?4 WHERE account_id = ?1 AND mailbox_id = ?3
;
UPDATE mailbox SET parent_id = ?3, name = ?4, path = ?5, role = ?6, sort_order = ?7
	WHERE account_id = ?1 AND mailbox_id = ?2
;
UPDATE mailbox SET path = ?3 || substr(path, length(?2) + 1) WHERE account_id = ?1 AND substr(path, 1, length(?2) + 1) = ?2 || '/'
;
UPDATE mailbox SET uidnext = ?3, recent = ?4, modseq = ?5, highest_modseq = ?6, props_modseq = ?7, counts_modseq = ?8,
	placements = ?9, unseen = ?10, deleted = ?11, size = ?12, emails = ?13, unread_emails = ?14, threads = ?15, unread_threads = ?16, peak = ?17, peak_uid = ?18
	WHERE account_id = ?1 AND mailbox_id = ?2
;
UPDATE mark SET instance = ?1, generation = ?2, at = ?3
;
UPDATE mark SET restored_to = ?1
;
UPDATE mark SET restores = restores + ?3, restoring = 1, restored_to = 0, leap_at = ?1, leap_uids = ?2, leap_times = ?3 WHERE restoring = 0
;
UPDATE mark SET restoring = 0, restored_to = 0
;
UPDATE member AS m SET seen = (SELECT count(*) FROM seen s JOIN placement p ON p.account_id = s.account_id AND p.mailbox_id = s.mailbox_id AND p.uid = s.uid
	WHERE s.account_id = ?1 AND s.mailbox_id = m.mailbox_id AND s.principal_id = m.principal_id AND s.seen = 1) WHERE m.account_id = ?1
;
UPDATE member SET seen = seen + ?4, modseq = max(modseq, ?5) WHERE account_id = ?1 AND mailbox_id = ?2 AND principal_id = ?3
;
UPDATE memory SET image = ?3 WHERE account_id = ?1 AND key = ?2
;
UPDATE message SET content_id = 0, sent_at = ?3 WHERE account_id = ?1 AND message_key = ?2
;
UPDATE message SET created = coalesce(?2, created), modseq = coalesce(?3, modseq), visible = ?4, placements = ?5, left_modseq = ?6
	WHERE account_id = ?1 AND message_key IN list(?7)
;
UPDATE message SET modseq = ?2 WHERE account_id = ?1 AND message_key IN list(?3)
;
UPDATE message SET sent_at = ?3 WHERE account_id = ?1 AND message_key = ?2
;
UPDATE message SET sent_at = c.sent_at FROM content c
	WHERE message.account_id = ?1 AND c.account_id = ?1 AND c.content_id = message.content_id AND message.sent_at <> c.sent_at
;
UPDATE placement SET content_id = (SELECT m.content_id FROM message m
	WHERE m.account_id = ?1 AND m.message_key = placement.message_key) WHERE account_id = ?1 AND content_id <>
	(SELECT m.content_id FROM message m WHERE m.account_id = ?1 AND m.message_key = placement.message_key)
;
UPDATE placement SET lineage = -lineage WHERE account_id = ?1 AND mailbox_id = ?2 AND uid = ?3
;
UPDATE placement SET lineage = ?4 WHERE account_id = ?1 AND mailbox_id = ?2 AND uid = ?3
;
UPDATE placement SET modseq = ?3, changed_by = ?4 WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?5)
;
UPDATE placement SET received = (SELECT m.internal_date FROM message m WHERE m.account_id = ?1 AND m.message_key = placement.message_key) WHERE account_id = ?1 AND received <> (SELECT m.internal_date FROM message m WHERE m.account_id = ?1 AND m.message_key = placement.message_key)
;
UPDATE placement SET system = ?3, keywords = ?4, modseq = ?5, changed_by = ?6
	WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?7)
;
UPDATE principal SET disabled = ?2 WHERE owner_id = ?1 AND removed = 0
;
UPDATE principal SET name = ?2 WHERE owner_id = ?1 AND removed = 0
;
UPDATE principal SET removed = 0, login = ?2, kept_login = '', removed_at = 0 WHERE owner_id = ?1
;
UPDATE principal SET removed = 1, disabled = 1 WHERE owner_id = ?1 AND removed <> 1
;
UPDATE principal SET removed = 2, kept_login = login, login = ?2, removed_at = ?3 WHERE owner_id = ?1 AND removed = 0
;
UPDATE queue SET next_attempt = ?1 WHERE next_attempt > ?1 AND next_attempt <= ?2 AND arrived <= ?1
;
UPDATE queue SET next_attempt = ?2 WHERE outgoing_id = ?1
;
UPDATE queue SET next_attempt = ?2, last_error = ?3, attempts = attempts + 1 WHERE outgoing_id = ?1
;
UPDATE queue SET restored = 0, next_attempt = max(arrived, ?1) WHERE restored = 1 AND (?2 = 0 OR outgoing_id = ?2)
;
UPDATE queue SET restored = 1, next_attempt = ?1
;
UPDATE schema_version SET missed = 0 WHERE version = ?1
;
UPDATE schema_version SET missed = 1 WHERE version = ?1
;
UPDATE schema_version SET reads_from = ?2, taken = ?3, program = ?4 WHERE version = ?1
;
UPDATE share SET live = -1 WHERE principal_id = ?1 AND owner_id = ?2
;
UPDATE share SET live = 0 WHERE principal_id = ?1 AND owner_id = ?2 AND live = 1
;
UPDATE sign_in SET last_seen = ?2, addr = ?3 WHERE sign_in_id = ?1
;
UPDATE sign_in SET state = ?2, ends = ?3 WHERE sign_in_id = ?1
;
UPDATE thread SET emails = ?2, unread = ?3, created = ?4, modseq = ?5, places = ?6 WHERE account_id = ?1 AND thread_id IN list(?7)
;
UPDATE thread SET places = '{}' WHERE account_id = ?1
;
UPDATE upload SET until = ?3, emails = ?4 WHERE account_id = ?1 AND upload_id = ?2
;
UPDATE vanished SET image = ?5 WHERE account_id = ?1 AND type = ?2 AND modseq = ?3 AND id = ?4
;
UPDATE vanished_placement SET lineage = -lineage WHERE account_id = ?1 AND mailbox_id = ?2 AND lineage > 0 AND uid IN list(?3)
;
UPDATE vanished_placement SET system = 0, keywords = '' WHERE account_id = ?1 AND mailbox_id = ?2 AND uid IN list(?3)
;
WITH dates AS (SELECT m.message_key, m.internal_date, m.behind, a.peak, a.peak_key,
	m.internal_date < max(m.internal_date) OVER w AS astray,
	max(CASE WHEN m.behind = 0 THEN m.internal_date END) OVER w AS high, max(CASE WHEN m.behind = 0 THEN m.message_key END) OVER w AS last
	FROM message m JOIN account a ON a.account_id = m.account_id WHERE m.account_id = ?1 WINDOW w AS (ORDER BY m.message_key)),
ordered AS (SELECT *, CASE WHEN astray THEN max(CASE WHEN astray THEN 0 ELSE message_key END) OVER (ORDER BY message_key) ELSE 0 END AS should,
	behind = 0 AND (internal_date < high OR internal_date > peak OR message_key > peak_key)
	OR behind > 0 AND (behind < coalesce(last, 0) OR behind >= message_key) AS wrong FROM dates)
SELECT 'message ' || message_key FROM ordered WHERE wrong
;
WITH dates AS (SELECT m.message_key, m.internal_date, m.behind, a.peak, a.peak_key,
	m.internal_date < max(m.internal_date) OVER w AS astray,
	max(CASE WHEN m.behind = 0 THEN m.internal_date END) OVER w AS high, max(CASE WHEN m.behind = 0 THEN m.message_key END) OVER w AS last
	FROM message m JOIN account a ON a.account_id = m.account_id WHERE m.account_id = ?1 WINDOW w AS (ORDER BY m.message_key)),
ordered AS (SELECT *, CASE WHEN astray THEN max(CASE WHEN astray THEN 0 ELSE message_key END) OVER (ORDER BY message_key) ELSE 0 END AS should,
	behind = 0 AND (internal_date < high OR internal_date > peak OR message_key > peak_key)
	OR behind > 0 AND (behind < coalesce(last, 0) OR behind >= message_key) AS wrong FROM dates)
UPDATE message SET behind = o.should FROM ordered o WHERE message.account_id = ?1 AND message.message_key = o.message_key AND message.behind <> o.should
;
WITH dates AS (SELECT p.mailbox_id, p.uid, p.received, p.behind, m.internal_date, b.peak, b.peak_uid,
	p.received < max(p.received) OVER w AS astray,
	max(CASE WHEN p.behind = 0 THEN p.received END) OVER w AS high, max(CASE WHEN p.behind = 0 THEN p.uid END) OVER w AS last
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	JOIN mailbox b ON b.account_id = p.account_id AND b.mailbox_id = p.mailbox_id
	WHERE p.account_id = ?1 WINDOW w AS (PARTITION BY p.mailbox_id ORDER BY p.uid)),
ordered AS (SELECT *, CASE WHEN astray THEN max(CASE WHEN astray THEN 0 ELSE uid END) OVER (PARTITION BY mailbox_id ORDER BY uid) ELSE 0 END AS should,
	received <> internal_date OR behind = 0 AND (received < high OR received > peak OR uid > peak_uid)
	OR behind > 0 AND (behind < coalesce(last, 0) OR behind >= uid) AS wrong FROM dates)
SELECT 'mailbox ' || mailbox_id || ', UID ' || uid FROM ordered WHERE wrong
;
WITH dates AS (SELECT p.mailbox_id, p.uid, p.received, p.behind, m.internal_date, b.peak, b.peak_uid,
	p.received < max(p.received) OVER w AS astray,
	max(CASE WHEN p.behind = 0 THEN p.received END) OVER w AS high, max(CASE WHEN p.behind = 0 THEN p.uid END) OVER w AS last
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	JOIN mailbox b ON b.account_id = p.account_id AND b.mailbox_id = p.mailbox_id
	WHERE p.account_id = ?1 WINDOW w AS (PARTITION BY p.mailbox_id ORDER BY p.uid)),
ordered AS (SELECT *, CASE WHEN astray THEN max(CASE WHEN astray THEN 0 ELSE uid END) OVER (PARTITION BY mailbox_id ORDER BY uid) ELSE 0 END AS should,
	received <> internal_date OR behind = 0 AND (received < high OR received > peak OR uid > peak_uid)
	OR behind > 0 AND (behind < coalesce(last, 0) OR behind >= uid) AS wrong FROM dates)
UPDATE placement SET behind = o.should FROM ordered o WHERE placement.account_id = ?1 AND placement.mailbox_id = o.mailbox_id
	AND placement.uid = o.uid AND placement.behind <> o.should
;
WITH view AS (
	SELECT p.message_key, m.thread_id, CASE WHEN min(p.system & 1) = 0 AND max(p.system & 16) = 0 THEN 1 ELSE 0 END AS unread
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	WHERE p.account_id = ?1 AND p.system & 8 = 0 GROUP BY p.message_key, m.thread_id),
threads AS (SELECT thread_id, count(*) AS emails, sum(unread) AS unread FROM view GROUP BY thread_id),
here AS (SELECT DISTINCT mailbox_id, message_key FROM placement WHERE account_id = ?1 AND system & 8 = 0),
inside AS (SELECT v.thread_id, h.mailbox_id, count(*) AS emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY v.thread_id, h.mailbox_id),
raw AS (SELECT mailbox_id, count(*) AS placements, sum(CASE WHEN system & 1 = 0 THEN 1 ELSE 0 END) AS unseen,
	sum(CASE WHEN system & 8 <> 0 THEN 1 ELSE 0 END) AS deleted, sum(size) AS size FROM placement WHERE account_id = ?1 GROUP BY mailbox_id),
emails AS (SELECT h.mailbox_id, count(*) AS emails, sum(v.unread) AS unread_emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY h.mailbox_id),
talk AS (SELECT i.mailbox_id, count(*) AS threads, sum(CASE WHEN t.unread > 0 THEN 1 ELSE 0 END) AS unread_threads
	FROM inside i JOIN threads t ON t.thread_id = i.thread_id GROUP BY i.mailbox_id),
counts AS (SELECT b.mailbox_id AS id, coalesce(r.placements, 0) AS placements, coalesce(r.unseen, 0) AS unseen, coalesce(r.deleted, 0) AS deleted,
	coalesce(r.size, 0) AS size, coalesce(e.emails, 0) AS emails, coalesce(e.unread_emails, 0) AS unread_emails,
	coalesce(k.threads, 0) AS threads, coalesce(k.unread_threads, 0) AS unread_threads
	FROM mailbox b LEFT JOIN raw r ON r.mailbox_id = b.mailbox_id LEFT JOIN emails e ON e.mailbox_id = b.mailbox_id
	LEFT JOIN talk k ON k.mailbox_id = b.mailbox_id WHERE b.account_id = ?1),
said AS (SELECT x.thread_id, CAST(j.key AS INTEGER) AS mailbox_id, j.value AS emails FROM thread x, json_each(x.places) j WHERE x.account_id = ?1),
places AS (SELECT message_key, count(*) AS placements FROM placement WHERE account_id = ?1 GROUP BY message_key)
SELECT 'message ' || m.message_key FROM message m LEFT JOIN view v ON v.message_key = m.message_key
	LEFT JOIN places n ON n.message_key = m.message_key WHERE m.account_id = ?1
	AND (m.visible <> (v.message_key IS NOT NULL) OR m.placements <> coalesce(n.placements, 0))
;
WITH view AS (
	SELECT p.message_key, m.thread_id, CASE WHEN min(p.system & 1) = 0 AND max(p.system & 16) = 0 THEN 1 ELSE 0 END AS unread
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	WHERE p.account_id = ?1 AND p.system & 8 = 0 GROUP BY p.message_key, m.thread_id),
threads AS (SELECT thread_id, count(*) AS emails, sum(unread) AS unread FROM view GROUP BY thread_id),
here AS (SELECT DISTINCT mailbox_id, message_key FROM placement WHERE account_id = ?1 AND system & 8 = 0),
inside AS (SELECT v.thread_id, h.mailbox_id, count(*) AS emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY v.thread_id, h.mailbox_id),
raw AS (SELECT mailbox_id, count(*) AS placements, sum(CASE WHEN system & 1 = 0 THEN 1 ELSE 0 END) AS unseen,
	sum(CASE WHEN system & 8 <> 0 THEN 1 ELSE 0 END) AS deleted, sum(size) AS size FROM placement WHERE account_id = ?1 GROUP BY mailbox_id),
emails AS (SELECT h.mailbox_id, count(*) AS emails, sum(v.unread) AS unread_emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY h.mailbox_id),
talk AS (SELECT i.mailbox_id, count(*) AS threads, sum(CASE WHEN t.unread > 0 THEN 1 ELSE 0 END) AS unread_threads
	FROM inside i JOIN threads t ON t.thread_id = i.thread_id GROUP BY i.mailbox_id),
counts AS (SELECT b.mailbox_id AS id, coalesce(r.placements, 0) AS placements, coalesce(r.unseen, 0) AS unseen, coalesce(r.deleted, 0) AS deleted,
	coalesce(r.size, 0) AS size, coalesce(e.emails, 0) AS emails, coalesce(e.unread_emails, 0) AS unread_emails,
	coalesce(k.threads, 0) AS threads, coalesce(k.unread_threads, 0) AS unread_threads
	FROM mailbox b LEFT JOIN raw r ON r.mailbox_id = b.mailbox_id LEFT JOIN emails e ON e.mailbox_id = b.mailbox_id
	LEFT JOIN talk k ON k.mailbox_id = b.mailbox_id WHERE b.account_id = ?1),
said AS (SELECT x.thread_id, CAST(j.key AS INTEGER) AS mailbox_id, j.value AS emails FROM thread x, json_each(x.places) j WHERE x.account_id = ?1),
places AS (SELECT message_key, count(*) AS placements FROM placement WHERE account_id = ?1 GROUP BY message_key)
SELECT 'thread ' || thread_id FROM (
	SELECT * FROM (SELECT thread_id, mailbox_id, emails FROM inside EXCEPT SELECT thread_id, mailbox_id, emails FROM said)
	UNION SELECT * FROM (SELECT thread_id, mailbox_id, emails FROM said EXCEPT SELECT thread_id, mailbox_id, emails FROM inside)) d
;
WITH view AS (
	SELECT p.message_key, m.thread_id, CASE WHEN min(p.system & 1) = 0 AND max(p.system & 16) = 0 THEN 1 ELSE 0 END AS unread
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	WHERE p.account_id = ?1 AND p.system & 8 = 0 GROUP BY p.message_key, m.thread_id),
threads AS (SELECT thread_id, count(*) AS emails, sum(unread) AS unread FROM view GROUP BY thread_id),
here AS (SELECT DISTINCT mailbox_id, message_key FROM placement WHERE account_id = ?1 AND system & 8 = 0),
inside AS (SELECT v.thread_id, h.mailbox_id, count(*) AS emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY v.thread_id, h.mailbox_id),
raw AS (SELECT mailbox_id, count(*) AS placements, sum(CASE WHEN system & 1 = 0 THEN 1 ELSE 0 END) AS unseen,
	sum(CASE WHEN system & 8 <> 0 THEN 1 ELSE 0 END) AS deleted, sum(size) AS size FROM placement WHERE account_id = ?1 GROUP BY mailbox_id),
emails AS (SELECT h.mailbox_id, count(*) AS emails, sum(v.unread) AS unread_emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY h.mailbox_id),
talk AS (SELECT i.mailbox_id, count(*) AS threads, sum(CASE WHEN t.unread > 0 THEN 1 ELSE 0 END) AS unread_threads
	FROM inside i JOIN threads t ON t.thread_id = i.thread_id GROUP BY i.mailbox_id),
counts AS (SELECT b.mailbox_id AS id, coalesce(r.placements, 0) AS placements, coalesce(r.unseen, 0) AS unseen, coalesce(r.deleted, 0) AS deleted,
	coalesce(r.size, 0) AS size, coalesce(e.emails, 0) AS emails, coalesce(e.unread_emails, 0) AS unread_emails,
	coalesce(k.threads, 0) AS threads, coalesce(k.unread_threads, 0) AS unread_threads
	FROM mailbox b LEFT JOIN raw r ON r.mailbox_id = b.mailbox_id LEFT JOIN emails e ON e.mailbox_id = b.mailbox_id
	LEFT JOIN talk k ON k.mailbox_id = b.mailbox_id WHERE b.account_id = ?1),
said AS (SELECT x.thread_id, CAST(j.key AS INTEGER) AS mailbox_id, j.value AS emails FROM thread x, json_each(x.places) j WHERE x.account_id = ?1),
places AS (SELECT message_key, count(*) AS placements FROM placement WHERE account_id = ?1 GROUP BY message_key)
SELECT 'thread ' || x.thread_id FROM thread x LEFT JOIN threads t ON t.thread_id = x.thread_id WHERE x.account_id = ?1
	AND (x.emails <> coalesce(t.emails, 0) OR x.unread <> coalesce(t.unread, 0))
;
WITH view AS (
	SELECT p.message_key, m.thread_id, CASE WHEN min(p.system & 1) = 0 AND max(p.system & 16) = 0 THEN 1 ELSE 0 END AS unread
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	WHERE p.account_id = ?1 AND p.system & 8 = 0 GROUP BY p.message_key, m.thread_id),
threads AS (SELECT thread_id, count(*) AS emails, sum(unread) AS unread FROM view GROUP BY thread_id),
here AS (SELECT DISTINCT mailbox_id, message_key FROM placement WHERE account_id = ?1 AND system & 8 = 0),
inside AS (SELECT v.thread_id, h.mailbox_id, count(*) AS emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY v.thread_id, h.mailbox_id),
raw AS (SELECT mailbox_id, count(*) AS placements, sum(CASE WHEN system & 1 = 0 THEN 1 ELSE 0 END) AS unseen,
	sum(CASE WHEN system & 8 <> 0 THEN 1 ELSE 0 END) AS deleted, sum(size) AS size FROM placement WHERE account_id = ?1 GROUP BY mailbox_id),
emails AS (SELECT h.mailbox_id, count(*) AS emails, sum(v.unread) AS unread_emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY h.mailbox_id),
talk AS (SELECT i.mailbox_id, count(*) AS threads, sum(CASE WHEN t.unread > 0 THEN 1 ELSE 0 END) AS unread_threads
	FROM inside i JOIN threads t ON t.thread_id = i.thread_id GROUP BY i.mailbox_id),
counts AS (SELECT b.mailbox_id AS id, coalesce(r.placements, 0) AS placements, coalesce(r.unseen, 0) AS unseen, coalesce(r.deleted, 0) AS deleted,
	coalesce(r.size, 0) AS size, coalesce(e.emails, 0) AS emails, coalesce(e.unread_emails, 0) AS unread_emails,
	coalesce(k.threads, 0) AS threads, coalesce(k.unread_threads, 0) AS unread_threads
	FROM mailbox b LEFT JOIN raw r ON r.mailbox_id = b.mailbox_id LEFT JOIN emails e ON e.mailbox_id = b.mailbox_id
	LEFT JOIN talk k ON k.mailbox_id = b.mailbox_id WHERE b.account_id = ?1),
said AS (SELECT x.thread_id, CAST(j.key AS INTEGER) AS mailbox_id, j.value AS emails FROM thread x, json_each(x.places) j WHERE x.account_id = ?1),
places AS (SELECT message_key, count(*) AS placements FROM placement WHERE account_id = ?1 GROUP BY message_key)
SELECT b.path FROM mailbox b JOIN counts c ON c.id = b.mailbox_id WHERE b.account_id = ?1
	AND (b.placements <> c.placements OR b.unseen <> c.unseen OR b.deleted <> c.deleted OR b.size <> c.size OR b.emails <> c.emails
	OR b.unread_emails <> c.unread_emails OR b.threads <> c.threads OR b.unread_threads <> c.unread_threads)
;
WITH view AS (
	SELECT p.message_key, m.thread_id, CASE WHEN min(p.system & 1) = 0 AND max(p.system & 16) = 0 THEN 1 ELSE 0 END AS unread
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	WHERE p.account_id = ?1 AND p.system & 8 = 0 GROUP BY p.message_key, m.thread_id),
threads AS (SELECT thread_id, count(*) AS emails, sum(unread) AS unread FROM view GROUP BY thread_id),
here AS (SELECT DISTINCT mailbox_id, message_key FROM placement WHERE account_id = ?1 AND system & 8 = 0),
inside AS (SELECT v.thread_id, h.mailbox_id, count(*) AS emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY v.thread_id, h.mailbox_id),
raw AS (SELECT mailbox_id, count(*) AS placements, sum(CASE WHEN system & 1 = 0 THEN 1 ELSE 0 END) AS unseen,
	sum(CASE WHEN system & 8 <> 0 THEN 1 ELSE 0 END) AS deleted, sum(size) AS size FROM placement WHERE account_id = ?1 GROUP BY mailbox_id),
emails AS (SELECT h.mailbox_id, count(*) AS emails, sum(v.unread) AS unread_emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY h.mailbox_id),
talk AS (SELECT i.mailbox_id, count(*) AS threads, sum(CASE WHEN t.unread > 0 THEN 1 ELSE 0 END) AS unread_threads
	FROM inside i JOIN threads t ON t.thread_id = i.thread_id GROUP BY i.mailbox_id),
counts AS (SELECT b.mailbox_id AS id, coalesce(r.placements, 0) AS placements, coalesce(r.unseen, 0) AS unseen, coalesce(r.deleted, 0) AS deleted,
	coalesce(r.size, 0) AS size, coalesce(e.emails, 0) AS emails, coalesce(e.unread_emails, 0) AS unread_emails,
	coalesce(k.threads, 0) AS threads, coalesce(k.unread_threads, 0) AS unread_threads
	FROM mailbox b LEFT JOIN raw r ON r.mailbox_id = b.mailbox_id LEFT JOIN emails e ON e.mailbox_id = b.mailbox_id
	LEFT JOIN talk k ON k.mailbox_id = b.mailbox_id WHERE b.account_id = ?1),
said AS (SELECT x.thread_id, CAST(j.key AS INTEGER) AS mailbox_id, j.value AS emails FROM thread x, json_each(x.places) j WHERE x.account_id = ?1),
places AS (SELECT message_key, count(*) AS placements FROM placement WHERE account_id = ?1 GROUP BY message_key)
UPDATE mailbox SET (placements, unseen, deleted, size, emails, unread_emails, threads, unread_threads) = (SELECT placements, unseen, deleted, size, emails, unread_emails, threads, unread_threads FROM counts c WHERE c.id = mailbox.mailbox_id) WHERE account_id = ?1
;
WITH view AS (
	SELECT p.message_key, m.thread_id, CASE WHEN min(p.system & 1) = 0 AND max(p.system & 16) = 0 THEN 1 ELSE 0 END AS unread
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	WHERE p.account_id = ?1 AND p.system & 8 = 0 GROUP BY p.message_key, m.thread_id),
threads AS (SELECT thread_id, count(*) AS emails, sum(unread) AS unread FROM view GROUP BY thread_id),
here AS (SELECT DISTINCT mailbox_id, message_key FROM placement WHERE account_id = ?1 AND system & 8 = 0),
inside AS (SELECT v.thread_id, h.mailbox_id, count(*) AS emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY v.thread_id, h.mailbox_id),
raw AS (SELECT mailbox_id, count(*) AS placements, sum(CASE WHEN system & 1 = 0 THEN 1 ELSE 0 END) AS unseen,
	sum(CASE WHEN system & 8 <> 0 THEN 1 ELSE 0 END) AS deleted, sum(size) AS size FROM placement WHERE account_id = ?1 GROUP BY mailbox_id),
emails AS (SELECT h.mailbox_id, count(*) AS emails, sum(v.unread) AS unread_emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY h.mailbox_id),
talk AS (SELECT i.mailbox_id, count(*) AS threads, sum(CASE WHEN t.unread > 0 THEN 1 ELSE 0 END) AS unread_threads
	FROM inside i JOIN threads t ON t.thread_id = i.thread_id GROUP BY i.mailbox_id),
counts AS (SELECT b.mailbox_id AS id, coalesce(r.placements, 0) AS placements, coalesce(r.unseen, 0) AS unseen, coalesce(r.deleted, 0) AS deleted,
	coalesce(r.size, 0) AS size, coalesce(e.emails, 0) AS emails, coalesce(e.unread_emails, 0) AS unread_emails,
	coalesce(k.threads, 0) AS threads, coalesce(k.unread_threads, 0) AS unread_threads
	FROM mailbox b LEFT JOIN raw r ON r.mailbox_id = b.mailbox_id LEFT JOIN emails e ON e.mailbox_id = b.mailbox_id
	LEFT JOIN talk k ON k.mailbox_id = b.mailbox_id WHERE b.account_id = ?1),
said AS (SELECT x.thread_id, CAST(j.key AS INTEGER) AS mailbox_id, j.value AS emails FROM thread x, json_each(x.places) j WHERE x.account_id = ?1),
places AS (SELECT message_key, count(*) AS placements FROM placement WHERE account_id = ?1 GROUP BY message_key)
UPDATE message SET visible = message_key IN (SELECT message_key FROM view),
	placements = coalesce((SELECT n.placements FROM places n WHERE n.message_key = message.message_key), 0) WHERE account_id = ?1
;
WITH view AS (
	SELECT p.message_key, m.thread_id, CASE WHEN min(p.system & 1) = 0 AND max(p.system & 16) = 0 THEN 1 ELSE 0 END AS unread
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	WHERE p.account_id = ?1 AND p.system & 8 = 0 GROUP BY p.message_key, m.thread_id),
threads AS (SELECT thread_id, count(*) AS emails, sum(unread) AS unread FROM view GROUP BY thread_id),
here AS (SELECT DISTINCT mailbox_id, message_key FROM placement WHERE account_id = ?1 AND system & 8 = 0),
inside AS (SELECT v.thread_id, h.mailbox_id, count(*) AS emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY v.thread_id, h.mailbox_id),
raw AS (SELECT mailbox_id, count(*) AS placements, sum(CASE WHEN system & 1 = 0 THEN 1 ELSE 0 END) AS unseen,
	sum(CASE WHEN system & 8 <> 0 THEN 1 ELSE 0 END) AS deleted, sum(size) AS size FROM placement WHERE account_id = ?1 GROUP BY mailbox_id),
emails AS (SELECT h.mailbox_id, count(*) AS emails, sum(v.unread) AS unread_emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY h.mailbox_id),
talk AS (SELECT i.mailbox_id, count(*) AS threads, sum(CASE WHEN t.unread > 0 THEN 1 ELSE 0 END) AS unread_threads
	FROM inside i JOIN threads t ON t.thread_id = i.thread_id GROUP BY i.mailbox_id),
counts AS (SELECT b.mailbox_id AS id, coalesce(r.placements, 0) AS placements, coalesce(r.unseen, 0) AS unseen, coalesce(r.deleted, 0) AS deleted,
	coalesce(r.size, 0) AS size, coalesce(e.emails, 0) AS emails, coalesce(e.unread_emails, 0) AS unread_emails,
	coalesce(k.threads, 0) AS threads, coalesce(k.unread_threads, 0) AS unread_threads
	FROM mailbox b LEFT JOIN raw r ON r.mailbox_id = b.mailbox_id LEFT JOIN emails e ON e.mailbox_id = b.mailbox_id
	LEFT JOIN talk k ON k.mailbox_id = b.mailbox_id WHERE b.account_id = ?1),
said AS (SELECT x.thread_id, CAST(j.key AS INTEGER) AS mailbox_id, j.value AS emails FROM thread x, json_each(x.places) j WHERE x.account_id = ?1),
places AS (SELECT message_key, count(*) AS placements FROM placement WHERE account_id = ?1 GROUP BY message_key)
UPDATE thread SET emails = coalesce((SELECT t.emails FROM threads t WHERE t.thread_id = thread.thread_id), 0),
	unread = coalesce((SELECT t.unread FROM threads t WHERE t.thread_id = thread.thread_id), 0) WHERE account_id = ?1
;
WITH view AS (
	SELECT p.message_key, m.thread_id, CASE WHEN min(p.system & 1) = 0 AND max(p.system & 16) = 0 THEN 1 ELSE 0 END AS unread
	FROM placement p JOIN message m ON m.account_id = p.account_id AND m.message_key = p.message_key
	WHERE p.account_id = ?1 AND p.system & 8 = 0 GROUP BY p.message_key, m.thread_id),
threads AS (SELECT thread_id, count(*) AS emails, sum(unread) AS unread FROM view GROUP BY thread_id),
here AS (SELECT DISTINCT mailbox_id, message_key FROM placement WHERE account_id = ?1 AND system & 8 = 0),
inside AS (SELECT v.thread_id, h.mailbox_id, count(*) AS emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY v.thread_id, h.mailbox_id),
raw AS (SELECT mailbox_id, count(*) AS placements, sum(CASE WHEN system & 1 = 0 THEN 1 ELSE 0 END) AS unseen,
	sum(CASE WHEN system & 8 <> 0 THEN 1 ELSE 0 END) AS deleted, sum(size) AS size FROM placement WHERE account_id = ?1 GROUP BY mailbox_id),
emails AS (SELECT h.mailbox_id, count(*) AS emails, sum(v.unread) AS unread_emails FROM here h JOIN view v ON v.message_key = h.message_key GROUP BY h.mailbox_id),
talk AS (SELECT i.mailbox_id, count(*) AS threads, sum(CASE WHEN t.unread > 0 THEN 1 ELSE 0 END) AS unread_threads
	FROM inside i JOIN threads t ON t.thread_id = i.thread_id GROUP BY i.mailbox_id),
counts AS (SELECT b.mailbox_id AS id, coalesce(r.placements, 0) AS placements, coalesce(r.unseen, 0) AS unseen, coalesce(r.deleted, 0) AS deleted,
	coalesce(r.size, 0) AS size, coalesce(e.emails, 0) AS emails, coalesce(e.unread_emails, 0) AS unread_emails,
	coalesce(k.threads, 0) AS threads, coalesce(k.unread_threads, 0) AS unread_threads
	FROM mailbox b LEFT JOIN raw r ON r.mailbox_id = b.mailbox_id LEFT JOIN emails e ON e.mailbox_id = b.mailbox_id
	LEFT JOIN talk k ON k.mailbox_id = b.mailbox_id WHERE b.account_id = ?1),
said AS (SELECT x.thread_id, CAST(j.key AS INTEGER) AS mailbox_id, j.value AS emails FROM thread x, json_each(x.places) j WHERE x.account_id = ?1),
places AS (SELECT message_key, count(*) AS placements FROM placement WHERE account_id = ?1 GROUP BY message_key)
UPDATE thread SET places = g.places FROM (SELECT thread_id, json_group_object(mailbox_id, emails) AS places
	FROM (SELECT thread_id, mailbox_id, emails FROM inside ORDER BY thread_id, mailbox_id) i GROUP BY thread_id) g
	WHERE thread.account_id = ?1 AND thread.thread_id = g.thread_id