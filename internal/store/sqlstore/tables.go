package sqlstore

// globalTables are the tables that belong to no account. No statement names one
// of them together with an account's table, so that accounts can be spread over
// many machines by account_id.
var globalTables = []string{"counter", "domain", "address", "kept_address", "principal", "person", "credential", "sign_in", "queue", "lease", "blob", "blob_part", "blob_bytes", "blob_doomed", "share", "intent", "erasure", "schema_version", "mark", "node", "shared_file", "ending", "ending_unread", "failure", "moving"}
