package eas

import (
	"bytes"
	"slices"
	"strconv"
	"time"

	"lockstep/internal/device"
	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Statuses of Sync (MS-ASCMD §2.2.3.177.17).
const (
	syncOK         = 1
	syncBadKey     = 3
	syncProtocol   = 4
	syncFailed     = 5
	syncConversion = 6
	syncConflict   = 7
	syncNotFound   = 8
	syncFull       = 9
	syncFolders    = 12
	syncIncomplete = 13
	syncInterval   = 14
	syncTooMany    = 15
	syncRetry      = 16
)

// syncRequest is what a device asks of a Sync (MS-ASCMD §2.2.1.21).
type syncRequest struct {
	collections []*syncCollection
	window      int // of all collections together
	wait        time.Duration
	waits       bool // Wait or HeartbeatInterval is there
}

// syncCollection is what it asks of one collection.
type syncCollection struct {
	id       string
	key      string
	window   int
	changes  bool // wants to be told
	asMoves  bool
	options  []byte // as WBXML; nil keeps what there is
	filter   int
	filtered bool // options say a filter
	commands []*wbxml.Element
	handed   bool // the last answer went out whole
}

// syncFault ends a Sync with a status of its own.
type syncFault struct {
	status int
	limit  int // of syncInterval and syncTooMany
}

// Error implements error.
func (f *syncFault) Error() string { return "sync status " + strconv.Itoa(f.status) }

func badSync() error { return &syncFault{status: syncProtocol} }

// parseSync reads a request. An empty one is the last one again; to a partial one what
// it leaves out is added from that.
func (q *request) parseSync() (*syncRequest, error) {
	in := q.in
	if in == nil || in.Has(wbxml.AirSyncPartial) {
		cached, err := q.cachedSync()
		if err != nil {
			return nil, err
		}
		if cached == nil {
			return nil, &syncFault{status: syncIncomplete}
		}
		in = complete(cached, in)
	}
	s := &syncRequest{window: maxSyncWindow}
	var err error
	if s.wait, s.waits, err = interval(in); err != nil {
		return nil, err
	}
	if w := in.Child(wbxml.AirSyncWindowSize); w != nil {
		if s.window, err = windowSize(w); err != nil {
			return nil, err
		}
	}
	list := in.Child(wbxml.AirSyncCollections)
	if list == nil {
		return nil, badSync()
	}
	if len(list.Children) > maxSyncCollections {
		return nil, &syncFault{syncTooMany, maxSyncCollections}
	}
	for e := range list.All(wbxml.AirSyncCollection) {
		c, err := q.parseSyncCollection(e)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(s.collections, func(o *syncCollection) bool { return o.id == c.id }) {
			return nil, badSync()
		}
		s.collections = append(s.collections, c)
	}
	if len(s.collections) == 0 && !s.waits {
		return nil, badSync()
	}
	return s, nil
}

// interval reads for how long a device waits (MS-ASCMD §2.2.3.84, §2.2.3.196).
func interval(in *wbxml.Element) (time.Duration, bool, error) {
	wait, heartbeat := in.Child(wbxml.AirSyncWait), in.Child(wbxml.AirSyncHeartbeatInterval)
	e, unit, least, most := wait, time.Minute, 1, 59
	switch {
	case wait != nil && heartbeat != nil:
		return 0, false, badSync()
	case heartbeat != nil:
		e, unit, least, most = heartbeat, time.Second, 60, 3540
	case wait == nil:
		return 0, false, nil
	}
	n, err := strconv.Atoi(e.Text)
	switch {
	case err != nil:
		return 0, false, badSync()
	case n < least:
		return 0, false, &syncFault{syncInterval, least}
	case n > most:
		return 0, false, &syncFault{syncInterval, most}
	}
	return time.Duration(n) * unit, true, nil
}

// windowSize reads a window; 0, and what is too much, is the most.
func windowSize(e *wbxml.Element) (int, error) {
	n, err := strconv.Atoi(e.Text)
	if err != nil || n < 0 {
		return 0, badSync()
	}
	if n == 0 {
		n = maxSyncWindow
	}
	return min(n, maxSyncWindow), nil
}

func (q *request) parseSyncCollection(in *wbxml.Element) (*syncCollection, error) {
	c := &syncCollection{id: in.Get(wbxml.AirSyncCollectionId), key: in.Get(wbxml.AirSyncSyncKey), window: defaultSyncWindow, asMoves: true}
	if c.id == "" || c.key == "" || len(c.id) > maxIDBytes || len(c.key) > maxIDBytes || !inOrder(in, wbxml.AirSyncCollectionId, wbxml.AirSyncSupported) {
		return nil, badSync()
	}
	if e := in.Child(wbxml.AirSyncWindowSize); e != nil {
		var err error
		if c.window, err = windowSize(e); err != nil {
			return nil, err
		}
	}
	get := in.Child(wbxml.AirSyncGetChanges)
	if get != nil && !slices.Contains([]string{"", "0", "1"}, get.Text) {
		return nil, badSync()
	}
	c.changes = get == nil || get.Text != "0"
	if c.key == "0" && (get != nil && c.changes || in.Has(wbxml.AirSyncCommands)) {
		return nil, badSync()
	}
	if e := in.Child(wbxml.AirSyncDeletesAsMoves); e != nil {
		c.asMoves = e.Text != "0"
	}
	if e := in.Child(wbxml.AirSyncCommands); e != nil {
		c.commands = e.Children
		if len(c.commands) == 0 || len(c.commands) > maxSyncCommands {
			return nil, badSync()
		}
	}
	return c, q.parseOptions(c, in)
}

// inOrder reports whether b, if both are there, comes after a.
func inOrder(in *wbxml.Element, a, b wbxml.Tag) bool {
	at := func(t wbxml.Tag) int {
		return slices.IndexFunc(in.Children, func(e *wbxml.Element) bool { return e.Tag == t })
	}
	return at(b) < 0 || at(a) < at(b)
}

// parseOptions reads the options of a collection; those of a class that is not mail are
// passed over, as text messages are, of which there are none here.
func (q *request) parseOptions(c *syncCollection, in *wbxml.Element) error {
	classes := map[string]bool{}
	for o := range in.All(wbxml.AirSyncOptions) {
		class := o.Get(wbxml.AirSyncClass)
		if class == "" {
			class = classEmail
		}
		if classes[class] {
			return badSync()
		}
		classes[class] = true
		if class != classEmail {
			continue
		}
		if _, ok, err := q.version.parseBodyOptions(o); err != nil || !ok {
			if err == nil {
				err = badSync()
			}
			return err
		}
		filter, err := filterOf(o)
		if err != nil {
			return err
		}
		c.filter, c.filtered = filter, true
		var raw bytes.Buffer
		if err := wbxml.Encode(&raw, o); err != nil {
			return err
		}
		if raw.Len() > maxOptionsBytes {
			return badSync()
		}
		c.options = raw.Bytes()
	}
	return nil
}

// filterOf reads the filter of mail's options; none is all.
func filterOf(o *wbxml.Element) (int, error) {
	e := o.Child(wbxml.AirSyncFilterType)
	if e == nil {
		return 0, nil
	}
	n, err := strconv.Atoi(e.Text)
	if err != nil || n < 0 || n > 5 {
		return 0, badSync()
	}
	return n, nil
}

// syncOptions are the options that hold for a relationship.
func (r *relationship) syncOptions() *wbxml.Element {
	if r.Options != nil {
		if o, err := wbxml.Decode(bytes.NewReader(r.Options), wbxml.Limits{}); err == nil {
			return o
		}
	}
	return wbxml.New(wbxml.AirSyncOptions)
}

// floor is the oldest date that the relationship's filter and the policy let stand.
func (r *relationship) floor(now time.Time, oldest device.Age) int64 {
	filter, _ := filterOf(r.syncOptions()) // was looked at when it came
	return floorOf(oldest.CapFilter(filter), now)
}

const syncCursor = "sync"

// cachedSync is the last whole request that had no commands; nil if there is none.
func (q *request) cachedSync() (*wbxml.Element, error) {
	var raw []byte
	err := q.view(func(r store.Reader) (err error) {
		raw, err = r.Cursor(q.sess.Device().ID, q.cursor(syncCursor))
		return err
	})
	if err != nil {
		if mail.KindOf(err) == mail.NotFound {
			return nil, nil
		}
		return nil, err
	}
	in, err := wbxml.Decode(bytes.NewReader(raw), wbxml.Limits{})
	if err != nil {
		return nil, nil // of another version: the device sends it whole
	}
	return in, nil
}

// cacheSync remembers a request, if it can be asked again: an empty one asks for the
// same, with the same keys.
func (q *request) cacheSync(s *syncRequest) error {
	root := wbxml.New(wbxml.AirSyncSync)
	list := wbxml.New(wbxml.AirSyncCollections)
	for _, c := range s.collections {
		if len(c.commands) > 0 || c.key == "0" {
			return q.noteSync(nil)
		}
		list.Add(wbxml.New(wbxml.AirSyncCollection, wbxml.Text(wbxml.AirSyncSyncKey, c.key), wbxml.Text(wbxml.AirSyncCollectionId, c.id), wbxml.Int(wbxml.AirSyncWindowSize, c.window)))
	}
	root.Add(list)
	if s.waits {
		root.Add(wbxml.Int(wbxml.AirSyncHeartbeatInterval, int(s.wait/time.Second)))
	}
	root.Add(wbxml.Int(wbxml.AirSyncWindowSize, s.window))
	var raw bytes.Buffer
	if err := wbxml.Encode(&raw, root); err != nil {
		return err
	}
	return q.noteSync(raw.Bytes())
}

func (q *request) noteSync(raw []byte) error {
	same := false
	err := q.view(func(r store.Reader) error {
		old, err := r.Cursor(q.sess.Device().ID, q.cursor(syncCursor))
		same = err == nil && bytes.Equal(old, raw) || err != nil && raw == nil
		if mail.KindOf(err) == mail.NotFound {
			return nil
		}
		return err
	})
	if err != nil || same {
		return err
	}
	return q.note(func(n store.Notes) error { return n.SetCursor(q.sess.Device().ID, q.cursor(syncCursor), raw) })
}

// complete adds to a partial request what it leaves out; nil is all.
func complete(cached, in *wbxml.Element) *wbxml.Element {
	if in == nil {
		return cached
	}
	root := wbxml.New(wbxml.AirSyncSync)
	list := wbxml.New(wbxml.AirSyncCollections)
	said := map[string]bool{}
	for c := range in.Child(wbxml.AirSyncCollections).All(wbxml.AirSyncCollection) {
		said[c.Get(wbxml.AirSyncCollectionId)] = true
		list.Add(c)
	}
	for c := range cached.Child(wbxml.AirSyncCollections).All(wbxml.AirSyncCollection) {
		if !said[c.Get(wbxml.AirSyncCollectionId)] {
			list.Add(c)
		}
	}
	root.Add(list)
	waits := in.Has(wbxml.AirSyncWait) || in.Has(wbxml.AirSyncHeartbeatInterval)
	for _, t := range []wbxml.Tag{wbxml.AirSyncWait, wbxml.AirSyncHeartbeatInterval, wbxml.AirSyncWindowSize} {
		switch e := in.Child(t); {
		case e != nil:
			root.Add(e)
		case t == wbxml.AirSyncWindowSize || !waits:
			root.Add(cached.Child(t))
		}
	}
	return root
}
