-- Most messages lie where they came in, and most blobs are named by the message that
-- brought them. A message's row says where it came in, and a blob's row who brought it,
-- so that only the other placements and contents are indexed: two pages less of log for
-- each delivery. What was there before counts among the others.
-- reads from: 0032
ALTER TABLE message ADD COLUMN home_mailbox bigint NOT NULL DEFAULT 0;
ALTER TABLE message ADD COLUMN home_uid bigint NOT NULL DEFAULT 0;
ALTER TABLE placement ADD COLUMN elsewhere bigint NOT NULL DEFAULT 1; -- 0: where its message's row says
-- Who brought it; 0 is nobody who counts, -1 is not known.
ALTER TABLE blob ADD COLUMN namer_account bigint NOT NULL DEFAULT 0;
ALTER TABLE blob ADD COLUMN namer_key bigint NOT NULL DEFAULT 0;
ALTER TABLE content ADD COLUMN again bigint NOT NULL DEFAULT 1; -- 0: of the message that the blob's row says

DROP INDEX placement_message;
CREATE INDEX placement_message ON placement (account_id, message_key) WHERE elsewhere = 1;
DROP INDEX content_blob;
CREATE INDEX content_blob ON content (blob) WHERE again = 1;

