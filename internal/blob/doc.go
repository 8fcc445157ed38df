// Package blob keeps bytes that never change, each blob once, sealed, in
// append-only packs on the local disk.
//
// A blob is known by a keyed hash of the SHA-256 of its plain bytes. It is cut
// into frames of 64 KiB, each compressed where that helps and sealed by itself
// under the blob's own key, which is wrapped by the operator's key and bound
// to the blob's name. Reading decodes the frames it touches and no others; a
// frame that does not authenticate is mail.Corrupt and its bytes are never
// served.
//
// # Putting
//
// Put returns when the bytes are on stable storage, and gives a handle: the
// mail.Blob. The handle becomes lasting when the transaction that names the
// blob commits its row (the Index's side). Concurrent puts share one fsync. A
// crash between the two leaves bytes that nobody names, never a name without
// bytes.
//
// Base64 parts of a message may be stored decoded, as blobs of their own (see
// Cut). The message then is a recipe: frames of its own, and references to its
// parts. What is read back is byte for byte what was put.
//
// # Commits
//
// Who keeps the rows follows one rule, for the blob and for each part the put
// returned, in the transaction that names the blob:
//
//   - the handle's Until has passed: the commit fails with mail.Expired;
//   - the handle has a Pending: the commit waits for it, and fails as it does;
//   - the row is there and not condemned: its touched time is set, the handle's
//     place is forgotten;
//   - the row is condemned or not there: a Fresh handle's place, key and parts
//     become the row; any other handle fails the commit with mail.Expired.
//
// # Collecting
//
// Collect is one whole pass over the index. What two passes found unnamed and
// untouched since before the first began is condemned; an hour later its row
// is forgotten and its bytes are dead. Compact copies what lives out of packs
// that are mostly dead, and unlinks those after their last reader.
//
// # Damage
//
// A blob that could not be read is remembered, in a file beside the packs, until
// Verify finds it whole. Mend looks for a good record of it in all packs, and for
// records of blobs whose rows were lost.
package blob
