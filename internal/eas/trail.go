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
	over := startsOver(q, a, f)
	q.trail(f != nil || len(over) > 0, func(t *device.Trail) {
		t.Did(c)
		for _, r := range over {
			r.At = c.At
			t.Restart(r)
		}
	})
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

// startsOver lists what the answer makes the device begin anew.
func startsOver(q *request, a *answer, f *fault) (over []device.Restart) {
	if f != nil || a.root == nil {
		return nil
	}
	switch a.root.Tag {
	case wbxml.FolderFolderSync:
		if a.root.Get(wbxml.FolderStatus) == strconv.Itoa(folderBadKey) {
			over = append(over, device.Restart{Why: "came with a folder key that is not known, or older than history reaches: " + q.in.Get(wbxml.FolderSyncKey)})
		}
	case wbxml.AirSyncSync:
		for c := range a.root.Child(wbxml.AirSyncCollections).All(wbxml.AirSyncCollection) {
			if c.Get(wbxml.AirSyncStatus) == "3" {
				over = append(over, device.Restart{Collection: c.Get(wbxml.AirSyncCollectionId), Why: "came with a key that is not known, or older than history reaches"})
			}
		}
	}
	return over
}
