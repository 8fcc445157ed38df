package blob

import "sync/atomic"

// Stats counts what a store did since it was opened.
type Stats struct {
	Puts          int64 // of blobs, parts included
	Found         int64 // puts that found the blob there
	PlainBytes    int64 // of blobs written
	StoredBytes   int64 // that they take in packs
	Syncs         int64 // of packs
	FailedBatches int64 // writes or syncs that went wrong, each of which sealed a pack
	Opens         int64
	FramesRead    int64
	Corrupt       int64 // damage met while reading
	Collected     int64 // blobs whose rows were forgotten
	Moved         int64 // blobs that compaction copied
	PacksRemoved  int64

	// Of a store in a bucket:
	ObjectPuts, ObjectGets         int64 // requests, however often they were tried
	ObjectPutBytes, ObjectGetBytes int64
	ObjectErrors                   int64 // requests that failed
	ObjectsRemoved                 int64
	CacheHits, CacheMisses         int64
	CacheBytes                     int64 // taken now
	Packed                         int64 // records that lay in rows and were packed
	InRows                         int64 // records that were found in rows by the last Pack
}

type counters struct {
	puts, found, plain, stored, syncs, failedBatches, opens, frames, corrupt, collected, moved, removed,
	objectPuts, objectGets, objectPutBytes, objectGetBytes, objectErrors, objectsRemoved, cacheHits, cacheMisses, cacheBytes, packed, inRows atomic.Int64
}

// Stats returns the counts so far.
func (s *Store) Stats() Stats {
	c := &s.stats
	return Stats{
		Puts: c.puts.Load(), Found: c.found.Load(), PlainBytes: c.plain.Load(), StoredBytes: c.stored.Load(),
		Syncs: c.syncs.Load(), FailedBatches: c.failedBatches.Load(), Opens: c.opens.Load(), FramesRead: c.frames.Load(),
		Corrupt: c.corrupt.Load(), Collected: c.collected.Load(), Moved: c.moved.Load(), PacksRemoved: c.removed.Load(),
		ObjectPuts: c.objectPuts.Load(), ObjectGets: c.objectGets.Load(), ObjectPutBytes: c.objectPutBytes.Load(), ObjectGetBytes: c.objectGetBytes.Load(),
		ObjectErrors: c.objectErrors.Load(), ObjectsRemoved: c.objectsRemoved.Load(), CacheHits: c.cacheHits.Load(), CacheMisses: c.cacheMisses.Load(),
		CacheBytes: c.cacheBytes.Load(), Packed: c.packed.Load(), InRows: c.inRows.Load(),
	}
}
