package sqlstore

import (
	"context"
	"encoding/binary"
	"slices"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
)

// BlobIndex keeps the rows of blobs for package blob.
type BlobIndex struct{ db *DB }

var _ blob.Index = BlobIndex{}

// Blobs returns the index of the blobs that this database names.
func (db *DB) Blobs() BlobIndex { return BlobIndex{db} }

const (
	blobColumns = "name, size, place, key"
	selectBlob  = `SELECT b.name, b.size, b.place, b.key, p.part FROM blob b LEFT JOIN blob_part p ON p.whole = b.name
	WHERE b.name = ?1 AND b.condemned = 0 ORDER BY p.n`
	selectBlobs   = "SELECT " + blobColumns + " FROM blob WHERE place > ?1 AND place < ?2 ORDER BY place LIMIT ?3"
	selectParts   = "SELECT part FROM blob_part WHERE whole = ?1 ORDER BY n"
	selectUnnamed = `SELECT name, namer_account, namer_key FROM blob WHERE name > ?1 AND condemned = 0 AND touched < ?2
	AND NOT EXISTS (SELECT 1 FROM queue q WHERE q.blob = blob.name) AND NOT EXISTS (SELECT 1 FROM blob_part p WHERE p.part = blob.name)
	ORDER BY name LIMIT ?3`
	// selectNamed and selectUploaded ask all accounts at once: a blob is named by
	// whoever has it. The one whom the blob's row says is not among them, unless it is
	// looked everywhere.
	selectNamed      = "SELECT 1 FROM content WHERE blob = ?1 AND again = 1 LIMIT 1"
	selectNamedByAny = "SELECT 1 FROM content WHERE blob = ?1 LIMIT 1"
	selectNamedBy    = `SELECT 1 FROM message m JOIN content c ON c.account_id = m.account_id AND c.content_id = m.content_id
	WHERE m.account_id = ?1 AND m.message_key = ?2 AND c.blob = ?3`
	selectNamer     = "SELECT namer_account, namer_key FROM blob WHERE name = ?1"
	selectUploaded  = "SELECT 1 FROM upload WHERE blob = ?1 LIMIT 1"
	selectSending   = "SELECT 1 FROM queue WHERE blob = ?1 LIMIT 1"
	selectWholes    = "SELECT 1 FROM blob_part WHERE part = ?1 LIMIT 1"
	condemnBlob     = "UPDATE blob SET condemned = ?2 WHERE name = ?1 AND condemned = 0 AND touched < ?3"
	selectCondemned = "SELECT name FROM blob WHERE condemned > 0 AND condemned < ?1 LIMIT ?2"
	deleteBlob      = "DELETE FROM blob WHERE name = ?1"
	// What was condemned may have been put again since it was looked for.
	forgetBytes = "DELETE FROM blob_bytes WHERE place = (SELECT b.place FROM blob b WHERE b.name = ?1 AND b.condemned > 0 AND b.condemned < ?2)"
	forgetBlob  = "DELETE FROM blob WHERE name = ?1 AND condemned > 0 AND condemned < ?2"
	// lockBlob lets nobody name a blob until the transaction ends, and waits for those
	// who are about to have named it. Whether anybody did is asked afterwards.
	lockBlob      = "UPDATE blob SET touched = touched WHERE name = ?1"
	lockCondemned = "UPDATE blob SET touched = touched WHERE name = ?1 AND condemned > 0 AND condemned < ?2"
	// Of a row that was lost it is not known who brought the blob.
	restoreBlob = `INSERT INTO blob (name, size, place, key, touched, namer_account) VALUES (?1, ?2, ?3, ?4, ?5, -1)
	ON CONFLICT (name) DO UPDATE SET size = excluded.size, place = excluded.place, key = excluded.key, touched = excluded.touched, condemned = 0`
	selectWrapped = "SELECT substr(key, 1, 4), count(*) FROM blob GROUP BY 1"
	rewrapBlob    = "UPDATE blob SET key = ?3 WHERE name = ?1 AND key = ?2"
	moveBlob      = "UPDATE blob SET place = ?3 WHERE name = ?1 AND place = ?2"

	selectPlaces  = "SELECT place FROM blob WHERE place > ?1 AND place < ?2 ORDER BY place LIMIT ?3"
	selectBytes   = "SELECT bytes FROM blob_bytes WHERE place = ?1"
	selectWaiting = `SELECT b.name, b.size, b.place, b.key, y.bytes FROM blob b JOIN blob_bytes y ON y.place = b.place
	WHERE b.place > ?1 AND b.place < ?2 AND y.place > ?1 AND y.place < ?2 ORDER BY b.place LIMIT ?3`
	deleteBytes      = "DELETE FROM blob_bytes WHERE place = ?1"
	movedBytes       = "UPDATE blob_bytes SET moved = ?2 WHERE place = ?1"
	selectMovedBytes = "SELECT place FROM blob_bytes WHERE moved > 0 AND moved < ?1 ORDER BY moved LIMIT ?2"
	dropBytes        = "DELETE FROM blob_bytes WHERE place = ?1 AND moved > 0 AND moved < ?2"
	doomObject       = "INSERT INTO blob_doomed (object, since) VALUES (?1, ?2) ON CONFLICT (object) DO NOTHING"
	selectDoomed     = "SELECT object, since FROM blob_doomed WHERE object > ?1 ORDER BY object LIMIT ?2"
	// A place in an object goes on with "-", and "." is what follows that.
	spareObject  = "DELETE FROM blob_doomed WHERE object = ?1 AND EXISTS (SELECT 1 FROM blob b WHERE b.place > ?2 AND b.place < ?3)"
	forgetDoomed = "DELETE FROM blob_doomed WHERE object = ?1 AND since < ?2"
)

// Blob implements blob.Index.
func (x BlobIndex) Blob(ctx context.Context, name mail.BlobName) (b mail.Blob, found bool, err error) {
	if x.db.naming.known.absent(name) {
		return b, false, nil
	}
	err = x.db.ask(ctx, func(c conn) error {
		return c.query(selectBlob, func(r row) error {
			if !found {
				b, found = scanBlob(r), true
			}
			if part := r.bytes(4); part != nil {
				b.Parts = append(b.Parts, mail.BlobName(part))
			}
			return nil
		}, name)
	})
	return b, found, err
}

func scanBlob(r row) mail.Blob {
	return mail.Blob{Name: mail.BlobName(r.bytes(0)), Size: r.num(1), Place: r.text(2), Key: r.bytes(3)}
}

func parts(c conn, b *mail.Blob) error {
	return c.query(selectParts, func(r row) error { b.Parts = append(b.Parts, mail.BlobName(r.bytes(0))); return nil }, b.Name)
}

// pastPlaces sorts behind whatever a place goes on with.
const pastPlaces = "~"

// Rows implements blob.Index.
func (x BlobIndex) Rows(ctx context.Context, prefix, after string, limit int) ([]mail.Blob, error) {
	var all []mail.Blob
	err := x.db.read(ctx, func(c conn) error {
		err := c.query(selectBlobs, func(r row) error { all = append(all, scanBlob(r)); return nil }, max(prefix, after), prefix+pastPlaces, limit)
		for i := range all {
			if err == nil {
				err = parts(c, &all[i])
			}
		}
		return err
	})
	return all, err
}

// Unnamed implements blob.Index. Each round asks for as many as are still
// wanted, in a short View of its own.
func (x BlobIndex) Unnamed(ctx context.Context, touchedBefore time.Time, after mail.BlobName, limit int) ([]mail.BlobName, error) {
	var unnamed []mail.BlobName
	for more := true; more && len(unnamed) < limit; {
		err := x.db.read(ctx, func(c conn) error {
			var names []mail.BlobName
			var namers []namer
			wanted := limit - len(unnamed)
			err := c.query(selectUnnamed, func(r row) error {
				names, namers = append(names, mail.BlobName(r.bytes(0))), append(namers, scanNamer(r, 1))
				return nil
			}, after, touchedBefore, wanted)
			more = len(names) == wanted
			for i, name := range names {
				named := false
				if err == nil {
					named, err = isInMail(c, name, namers[i])
				}
				if err == nil && !named {
					named, err = one(c, selectUploaded, func(row) {}, name)
				}
				if !named {
					unnamed = append(unnamed, name)
				}
				after = name
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return unnamed, nil
}

// Condemn implements blob.Index.
func (x BlobIndex) Condemn(ctx context.Context, names []mail.BlobName, touchedBefore time.Time) (int, error) {
	return x.each(ctx, len(names), func(c conn, i int) (int64, error) {
		return c.exec(condemnBlob, names[i], x.db.now(), touchedBefore)
	})
}

// Move implements blob.Index.
func (x BlobIndex) Move(ctx context.Context, moves []blob.Move) (int, error) {
	sum := int64(0)
	err := x.db.write(ctx, blobLane, func(c conn) error {
		sum = 0
		objects := map[string]string{} // where they came to lie, and a place there
		for _, m := range moves {
			n, err := c.exec(moveBlob, m.Name, m.From, m.To)
			if err != nil {
				return err
			}
			if n > 0 && blob.InRow(m.From) {
				if _, err := c.exec(movedBytes, m.From, x.db.now()); err != nil {
					return err
				}
			}
			object, _ := blob.ObjectOf(m.To)
			objects[object] = m.To
			sum += n
		}
		return noneDoomed(c, objects)
	}, nil)
	return int(sum), err
}

// noneDoomed refuses to have rows come to name what is about to be removed.
func noneDoomed(c conn, objects map[string]string) error {
	for _, place := range objects {
		doomed, err := inDoomed(c, place)
		if err == nil && doomed {
			err = expired()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Wrapped implements blob.Index. It reads all rows: a second for 1 000 000.
func (x BlobIndex) Wrapped(ctx context.Context) (map[uint32]int64, error) {
	by := map[uint32]int64{}
	err := x.db.read(ctx, func(c conn) error {
		return c.query(selectWrapped, func(r row) error {
			n := uint32(0)
			if key := r.bytes(0); len(key) == 4 {
				n = binary.BigEndian.Uint32(key)
			}
			by[n] += r.num(1)
			return nil
		})
	})
	return by, err
}

// Rewrap implements blob.Index.
func (x BlobIndex) Rewrap(ctx context.Context, changes []blob.Rewrap) (int, error) {
	return x.each(ctx, len(changes), func(c conn, i int) (int64, error) {
		return c.exec(rewrapBlob, changes[i].Name, changes[i].From, changes[i].To)
	})
}

// Family implements blob.Index.
func (x BlobIndex) Family(ctx context.Context, names []mail.BlobName) ([]mail.BlobName, error) {
	all := slices.Clone(names)
	err := x.db.read(ctx, func(c conn) error {
		for i := 0; i < len(all); i++ {
			b := mail.Blob{Name: all[i]}
			if err := parts(c, &b); err != nil {
				return err
			}
			all = append(all, b.Parts...)
		}
		return nil
	})
	slices.Reverse(all) // one that is met twice stays behind the last that it is a part of
	seen := map[mail.BlobName]bool{}
	all = slices.DeleteFunc(all, func(name mail.BlobName) bool {
		met := seen[name]
		seen[name] = true
		return met
	})
	slices.Reverse(all)
	return all, err
}

// Erase implements blob.Index.
func (x BlobIndex) Erase(ctx context.Context, names []mail.BlobName, places []string) ([]mail.BlobName, error) {
	var gone []mail.BlobName
	for some := range slices.Chunk(names, eraseChunk) {
		var now []mail.BlobName
		err := x.db.write(ctx, blobLane, func(c conn) error {
			now = nil
			x.db.naming.refuse(places)
			for _, name := range some {
				if _, err := c.exec(lockBlob, name); err != nil {
					return err
				}
				named, err := isNamed(c, name)
				if err != nil {
					return err
				}
				if named {
					continue
				}
				if err := x.erase(c, name); err != nil {
					return err
				}
				now = append(now, name)
			}
			return nil
		}, nil)
		if err != nil {
			return nil, err
		}
		gone = append(gone, now...)
	}
	return gone, nil
}

// erase deletes a row and what lies beside it, and lets nobody name its object any more.
func (x BlobIndex) erase(c conn, name mail.BlobName) error {
	b := mail.Blob{Name: name}
	if err := locate(c, &b); err != nil {
		return err
	}
	for _, sql := range []string{deleteParts, deleteBlob} {
		if _, err := c.exec(sql, name); err != nil {
			return err
		}
	}
	if blob.InRow(b.Place) {
		_, err := c.exec(deleteBytes, b.Place)
		return err
	}
	if object, ok := blob.ObjectOf(b.Place); ok && blob.Alone(b.Place) {
		_, err := c.exec(doomObject, object, x.db.now())
		return err
	}
	return nil
}

// eraseChunk is how many rows are erased in one transaction.
const eraseChunk = 200

// isNamed reports whether anything names a blob.
func isNamed(c conn, name mail.BlobName) (named bool, err error) {
	var by namer
	if _, err = one(c, selectNamer, func(r row) { by = scanNamer(r, 0) }, name); err == nil {
		named, err = isInMail(c, name, by)
	}
	for _, sql := range []string{selectUploaded, selectSending, selectWholes} {
		if err == nil && !named {
			named, err = one(c, sql, func(row) {}, name)
		}
	}
	return named, err
}

func scanNamer(r row, col int) namer {
	return namer{mail.AccountID(r.num(col)), mail.MessageKey(r.num(col + 1))}
}

// isInMail reports whether a message names a blob, whose row says by. When the row was
// lost, so that nobody knows who brought the blob, that reads all contents.
func isInMail(c conn, name mail.BlobName, by namer) (named bool, err error) {
	named, err = one(c, selectNamed, func(row) {}, name)
	switch {
	case err != nil || named || by.account == 0:
		return named, err
	case by.account < 0:
		return one(c, selectNamedByAny, func(row) {}, name)
	}
	return one(c, selectNamedBy, func(row) {}, by.account, by.key, name)
}

// Restore implements blob.Index.
func (x BlobIndex) Restore(ctx context.Context, found []mail.Blob) error {
	_, err := x.each(ctx, len(found), func(c conn, i int) (int64, error) {
		b := found[i]
		x.db.naming.known.add(b.Name)
		if _, err := c.exec(leaveBytes, b.Name, b.Place, x.db.now()); err != nil {
			return 0, err
		}
		if _, err := c.exec(restoreBlob, b.Name, b.Size, b.Place, b.Key, x.db.now()); err != nil {
			return 0, err
		}
		if _, err := c.exec(deleteParts, b.Name); err != nil {
			return 0, err
		}
		return 1, addRecord(c, b)
	})
	return err
}

// each runs do n times in one transaction and adds up the rows it changed.
func (x BlobIndex) each(ctx context.Context, n int, do func(conn, int) (int64, error)) (int, error) {
	sum := int64(0)
	err := x.db.write(ctx, blobLane, func(c conn) error {
		sum = 0
		for i := range n {
			changed, err := do(c, i)
			if err != nil {
				return err
			}
			sum += changed
		}
		return nil
	}, nil)
	return int(sum), err
}

// Forget implements blob.Index.
func (x BlobIndex) Forget(ctx context.Context, condemnedBefore time.Time, limit int) (int, error) {
	n := 0
	err := x.db.write(ctx, blobLane, func(c conn) error {
		var names []mail.BlobName
		err := c.query(selectCondemned, func(r row) error { names = append(names, mail.BlobName(r.bytes(0))); return nil }, condemnedBefore, limit)
		n = 0
		for _, name := range names {
			if err == nil {
				err = forgetRow(c, name, condemnedBefore, &n)
			}
		}
		return err
	}, nil)
	return n, err
}

// forgetRow deletes a condemned row and what lies beside it.
func forgetRow(c conn, name mail.BlobName, condemnedBefore time.Time, forgotten *int) error {
	if n, err := c.exec(lockCondemned, name, condemnedBefore); err != nil || n == 0 {
		return err
	}
	if _, err := c.exec(forgetBytes, name, condemnedBefore); err != nil {
		return err
	}
	n, err := c.exec(forgetBlob, name, condemnedBefore)
	if err != nil || n == 0 {
		return err
	}
	*forgotten++
	_, err = c.exec(deleteParts, name)
	return err
}

// Places implements blob.Index.
func (x BlobIndex) Places(ctx context.Context, prefix, after string, limit int) (places []string, err error) {
	err = x.db.read(ctx, func(c conn) error {
		return c.query(selectPlaces, func(r row) error { places = append(places, r.text(0)); return nil }, max(prefix, after), prefix+pastPlaces, limit)
	})
	return places, err
}

// PlacesOf implements blob.Index.
func (x BlobIndex) PlacesOf(ctx context.Context, names []mail.BlobName) (map[mail.BlobName]string, error) {
	places := map[mail.BlobName]string{}
	for some := range slices.Chunk(names, eraseChunk) {
		err := x.db.read(ctx, func(c conn) error {
			for _, name := range some {
				b := mail.Blob{Name: name}
				if err := locate(c, &b); err != nil {
					return err
				}
				if b.Place != "" {
					places[name] = b.Place
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return places, nil
}

// Bytes implements blob.Index.
func (x BlobIndex) Bytes(ctx context.Context, place string) (record []byte, found bool, err error) {
	err = x.db.ask(ctx, func(c conn) (err error) {
		found, err = one(c, selectBytes, func(r row) { record = r.bytes(0) }, place)
		return err
	})
	return record, found, err
}

// Waiting implements blob.Index.
func (x BlobIndex) Waiting(ctx context.Context, after string, limit int) (all []mail.Blob, err error) {
	const first = "rows/"
	err = x.db.ask(ctx, func(c conn) error {
		all = nil
		return c.query(selectWaiting, func(r row) error {
			b := scanBlob(r)
			b.Record = r.bytes(4)
			all = append(all, b)
			return nil
		}, max(first, after), first+pastPlaces, limit)
	})
	return all, err
}

// DropBytes implements blob.Index.
func (x BlobIndex) DropBytes(ctx context.Context, movedBefore time.Time, limit int) (int, error) {
	sum := 0
	err := x.db.write(ctx, blobLane, func(c conn) error {
		var places []string
		sum = 0
		err := c.query(selectMovedBytes, func(r row) error { places = append(places, r.text(0)); return nil }, movedBefore, limit)
		for _, place := range places {
			if err == nil {
				var n int64
				n, err = c.exec(dropBytes, place, movedBefore)
				sum += int(n)
			}
		}
		return err
	}, nil)
	return sum, err
}

// Doom implements blob.Index.
func (x BlobIndex) Doom(ctx context.Context, objects []string) error {
	_, err := x.each(ctx, len(objects), func(c conn, i int) (int64, error) {
		return c.exec(doomObject, objects[i], x.db.now())
	})
	return err
}

// Doomed implements blob.Index.
func (x BlobIndex) Doomed(ctx context.Context, after string, limit int) (all []blob.Doomed, err error) {
	err = x.db.read(ctx, func(c conn) error {
		return c.query(selectDoomed, func(r row) error {
			all = append(all, blob.Doomed{Object: r.text(0), Since: unstamp(r.num(1))})
			return nil
		}, after, limit)
	})
	return all, err
}

// Spare implements blob.Index.
func (x BlobIndex) Spare(ctx context.Context, objects []string) error {
	_, err := x.each(ctx, len(objects), func(c conn, i int) (int64, error) {
		return c.exec(spareObject, objects[i], objects[i]+"-", objects[i]+".")
	})
	return err
}

// ForgetDoomed implements blob.Index.
func (x BlobIndex) ForgetDoomed(ctx context.Context, objects []string, before time.Time) error {
	_, err := x.each(ctx, len(objects), func(c conn, i int) (int64, error) {
		return c.exec(forgetDoomed, objects[i], before)
	})
	return err
}
