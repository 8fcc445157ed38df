-- What the planner is told of the data, once and for all. Without it SQLite takes
-- every index for equally good and finds a message's placements by walking all of
-- the account's. These are proportions of a large server, not measurements: plans
-- must not change because a mailbox grew.

-- It makes the table; what it says of the counters is deleted again.
ANALYZE counter;

DELETE FROM sqlite_stat1;
DELETE FROM sqlite_stat4;

INSERT INTO sqlite_stat1 (tbl, idx, stat) VALUES
  ('mailbox', 'mailbox', '1000 20 1'),
  ('mailbox', 'mailbox_path', '1000 20 1'),
  ('message', 'message', '1000000 20000 1'),
  ('message', 'message_email', '1000000 20000 1'),
  ('message', 'message_thread', '1000000 20000 3'),
  ('message', 'message_created', '1000000 20000 3 1'),
  ('message', 'message_modseq', '1000000 20000 3 1'),
  ('message', 'message_left', '10000 200 3'),
  ('message_content', 'message_content', '1000000 20000 1'),
  ('message_content', 'message_content_blob', '1000000 2'),
  ('placement', 'placement', '1000000 20000 2000 1'),
  ('placement', 'placement_modseq', '1000000 20000 2000 3 1'),
  ('placement', 'placement_message', '1000000 20000 1'),
  ('vanished_placement', 'vanished_placement', '100000 2000 200 1'),
  ('vanished_placement', 'vanished_placement_modseq', '100000 2000 200 3 1'),
  ('vanished_placement', 'vanished_placement_message', '100000 2000 1'),
  ('vanished', 'vanished', '100000 2000 1000 3 1'),
  ('vanished', 'vanished_id', '100000 2000 1000 1 1'),
  ('thread', 'thread', '300000 6000 1'),
  ('thread', 'thread_created', '300000 6000 3 1'),
  ('thread', 'thread_modseq', '300000 6000 3 1'),
  ('journal', 'journal', '1000000 20000 1'),
  ('journal', 'journal_act', '1000 20 3 1'),
  ('device', 'device', '200 4 1'),
  ('device', 'device_key', '200 4 1');

-- So that this connection reads it too.
ANALYZE sqlite_schema;
