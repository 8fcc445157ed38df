-- Endings of a shared engine lie here until somebody who reads them gives them their
-- numbers: so that who is signed out waits for nobody. The embedded engine has none.
-- reads from: 0032
CREATE TABLE ending_unread (
	unread_id bigint NOT NULL PRIMARY KEY,
	owner_id bigint NOT NULL,
	device_id bigint NOT NULL,
	at bigint NOT NULL
);
