package eas

import (
	"context"
	"strconv"
	"time"

	"lockstep/internal/device"
	"lockstep/internal/eas/wbxml"
)

// trail notes something in the device's trail, for people who look why it is not in
// step. What is urgent outlives the next crash.
func (q *request) trail(urgent bool, change func(*device.Trail)) {
	if q.srv.Trails != nil && !q.trying() {
		q.srv.Trails.Note(context.WithoutCancel(q.ctx), device.Who{Account: q.account(), Device: q.sess.Device().ID, DeviceID: q.deviceID}, urgent, change)
	}
}

// did notes a command and what was answered.
func (q *request) did(a *answer, f *fault, began time.Time) {
	c := device.Command{At: began.UTC(), Name: q.cmd.name, Version: q.version.String(), Took: time.Since(began), Status: "1"}
	if c.Name == "" {
		c.Name = q.command
	}
	if f != nil {
		c.Status = f.word(q.version)
	} else if a.root != nil {
		c.Status = statusIn(a.root)
	}
	q.trail(f != nil, func(t *device.Trail) { t.Did(c) })
	if f == nil && a.root != nil && a.root.Tag == wbxml.FolderFolderSync && c.Status == strconv.Itoa(folderBadKey) {
		q.startsOver("", "unknown key, or older than history reaches: "+q.in.Get(wbxml.FolderSyncKey))
	}
}

// startsOver notes that the device is told to begin a collection anew, "" being the
// folders: for people who look, and as each costs the device a whole download.
func (q *request) startsOver(collection, why string) {
	q.srv.Log.WarnContext(q.ctx, "device starts over", "proto", "activesync", "account", q.sess.Principal.Login, "device", q.deviceID, "collection", collection, "reason", why)
	q.trail(true, func(t *device.Trail) {
		t.Restart(device.Restart{At: time.Now().UTC(), Collection: collection, Why: why})
		t.Unmark(collection)
	})
}

// leftOut notes that the device is not given an item.
func (q *request) leftOut(collection, item, why string) {
	q.srv.Log.WarnContext(q.ctx, "item skipped", "proto", "activesync", "account", q.sess.Principal.Login, "device", q.deviceID, "collection", collection, "item", item, "reason", why)
	q.trail(true, func(t *device.Trail) {
		t.Skip(device.Skip{At: time.Now().UTC(), Collection: collection, Item: item, Why: why})
	})
}

// mark notes how far the device has come in a collection.
func (q *request) mark(collection string, m device.Mark) {
	q.trail(false, func(t *device.Trail) { t.Mark(collection, m) })
}

// word is a fault as the device was told it.
func (f *fault) word(v version) string {
	if f.status != 0 && v >= v140 {
		return strconv.Itoa(int(f.status)) + ": " + f.detail
	}
	return "HTTP " + strconv.Itoa(f.code()) + ": " + f.detail
}

// statusIn is the status that an answer gives for the whole; "1" where it gives none.
func statusIn(root *wbxml.Element) string {
	if tag, ok := statusTags[root.Tag]; ok && root.Has(tag) {
		return root.Get(tag)
	}
	return "1"
}
