-- When the change at the horizon was made, so that a moment can be told from one that
-- is too long ago; 0 is since the account was made. What was forgotten before this
-- said no time: then it is that of the oldest record, or now.
ALTER TABLE account ADD COLUMN horizon_at INTEGER NOT NULL DEFAULT 0;

UPDATE account SET horizon_at = coalesce((SELECT j.at FROM journal j WHERE j.account_id = account.account_id ORDER BY j.modseq LIMIT 1),
  unixepoch() * 1000000) WHERE horizon > 0;
