-- The search indexes that nodes share. They are made of the mail and can be made again.
-- Package search alone reads and writes them; no row here waits for a lane, and none of
-- an account's other rows waits for one here.
-- reads from: 0027

-- How far an account's index got, and which node follows its changes until when: each
-- commit to the index finds holder and fence as it left them, or does not happen.
CREATE TABLE search_state (
	account_id bigint NOT NULL PRIMARY KEY,
	format bigint NOT NULL, -- 0: what there is has to go first
	holder text NOT NULL,
	fence bigint NOT NULL,
	until bigint NOT NULL, -- microseconds, by the server's clock
	needed bigint NOT NULL, -- so
	state text NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE search_doc (
	account_id bigint NOT NULL,
	message_key bigint NOT NULL,
	flags bigint NOT NULL,
	date bigint NOT NULL,
	words bigint NOT NULL,
	PRIMARY KEY (account_id, message_key)
);

CREATE TABLE search_text (
	account_id bigint NOT NULL,
	message_key bigint NOT NULL,
	sealed bytea NOT NULL,
	PRIMARY KEY (account_id, message_key)
);
ALTER TABLE search_text ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE search_text SET (toast_tuple_target = 8160);

CREATE TABLE search_trouble (
	account_id bigint NOT NULL,
	message_key bigint NOT NULL,
	why text NOT NULL,
	PRIMARY KEY (account_id, message_key)
);

CREATE TABLE search_segment (
	account_id bigint NOT NULL,
	segment_id bigint NOT NULL,
	docs bigint NOT NULL,
	words bigint NOT NULL,
	keys bytea NOT NULL,
	PRIMARY KEY (account_id, segment_id)
);

CREATE TABLE search_block (
	account_id bigint NOT NULL,
	segment_id bigint NOT NULL,
	first bytea NOT NULL,
	data bytea NOT NULL,
	PRIMARY KEY (account_id, segment_id, first)
);
ALTER TABLE search_block ALTER COLUMN data SET STORAGE EXTERNAL;
ALTER TABLE search_block SET (toast_tuple_target = 8160);
