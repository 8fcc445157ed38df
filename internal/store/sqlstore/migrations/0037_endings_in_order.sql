-- Endings of a shared engine lie here until somebody who reads them gives them their
-- numbers: so that who is signed out waits for nobody. The embedded engine has none.
-- reads from: 0032
CREATE TABLE ending_unread (
	unread_id INTEGER NOT NULL PRIMARY KEY,
	owner_id INTEGER NOT NULL,
	device_id INTEGER NOT NULL,
	at INTEGER NOT NULL
) STRICT;
