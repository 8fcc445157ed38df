// Package backup copies a whole server, while it runs, to a directory or a bucket,
// and brings it back.
//
// # What is kept
//
// A point is the server at one commit of its database: the pages of the database
// that changed since the point before, the extents of the packs that were not there
// yet, the key file and the configuration. Points that build upon each other are a
// set. Pages, key file and configuration are sealed under the key of their set, which
// is sealed under the key of the backup. Packs are sealed already, each blob under a
// key of its own: of these keys, which the records of a pack begin with, a backup's
// copy has none. They are in the database, and so in the set; who destroys the key of
// a set has destroyed all that only its points could read.
//
// The key of the backup is sealed under the operator's key file, and the key file
// under a recovery code (an age identity) that is shown once: the backup and one of
// both bring everything back.
//
// # Order
//
// The database's pages are settled first, then the packs are copied up to where they
// are, and none is compacted meanwhile: so every place that a row names is there. The
// point is written last, and is what makes everything before it count. A backup that
// was cut leaves objects that no point names; the next one uses or removes them.
package backup
