package eas

import (
	"math"
	"slices"
	"time"

	"lockstep/internal/mail"
)

// view is what a device holds of a mailbox, as far as that does not follow from the
// mailbox itself: how far it read the log of changes, how far back it was filled, and
// the exceptions.
//
// The log comes first and is read to its end before anything is filled in, so what is
// filled in is as the log left it.
type view struct {
	Log mail.Position `json:"log"`
	// Sure is up to where every change was told as it then was. It is behind Log.Since
	// where a delta took several answers: what changed again meanwhile comes with the
	// next one, and with it what was not told yet.
	Sure mail.ModSeq `json:"sure,omitempty"`
	Made mail.UID    `json:"made,omitempty"` // inside a delta: created ones were told up to it
	Last mail.UID    `json:"last,omitempty"` // inside a delta: of those it leads to
	// Floor is the oldest date that is held, in microseconds; 0 is all.
	Floor int64 `json:"floor,omitempty"`
	// Fill is under way: below its place the device holds only what came after Snap,
	// by the log.
	Fill *fill `json:"fill,omitempty"`
	// Soft is under way: what is older than the floor, and not older than Low, leaves
	// the device from its place down.
	Soft   *soft       `json:"soft,omitempty"`
	Hidden mail.UIDSet `json:"hidden,omitempty"` // \Deleted, and so not shown
	Own    []own       `json:"own,omitempty"`
}

type fill struct {
	Snap mail.ModSeq `json:"snap"`
	At   place       `json:"at"`
}

type soft struct {
	Low int64 `json:"low,omitempty"`
	At  place `json:"at"`
}

// place is a mail.Dated in few bytes: how far down the order of dates a stream got.
type place struct {
	Date int64    `json:"d"`
	UID  mail.UID `json:"u,omitempty"`
}

// top is above all there is.
var top = place{math.MaxInt64, 0}

func placeOf(date time.Time, uid mail.UID) place { return place{date.UnixMicro(), uid} }

func (p place) dated() mail.Dated {
	if p == top {
		return mail.Dated{}
	}
	return mail.Dated{Date: time.UnixMicro(p.Date).UTC(), UID: p.UID}
}

// passed reports whether a stream that got to p has passed q.
func (p place) passed(q place) bool { return p.Date < q.Date || p.Date == q.Date && p.UID <= q.UID }

// firstView is that of a device that holds nothing yet.
func firstView(a mail.Account, floor int64) view {
	return view{Log: a.Epoch.At(a.Head), Sure: a.Head, Floor: floor, Fill: &fill{a.Head, top}}
}

// told reports whether the log has passed the making of a version.
func (v *view) told(w *mail.Version) bool {
	switch {
	case w.Created <= v.Log.Since:
		return true
	case w.Created > v.Log.Target, w.Left != 0 && w.Left <= v.Log.Target: // it came and went between
		return false
	}
	return v.Log.Phase > mail.Created || w.UID <= v.Made
}

// reached reports whether a version is the log's to tell of: it is above where the
// filling got to, or came after that began.
func (v *view) reached(w *mail.Version) bool {
	return v.Fill == nil || w.Created > v.Fill.Snap || v.Fill.At.passed(placeOf(w.Date, w.UID))
}

// inWindow reports whether a date is held.
func (v *view) inWindow(date time.Time) bool { return v.Floor == 0 || date.UnixMicro() >= v.Floor }

// leaving reports whether a version is older than the floor but still on the device.
func (v *view) leaving(w *mail.Version) bool {
	return v.Soft != nil && w.Date.UnixMicro() >= v.Soft.Low && !v.Soft.At.passed(placeOf(w.Date, w.UID))
}

// holds reports whether the device has a version.
func (v *view) holds(w *mail.Version) bool {
	return v.told(w) && v.reached(w) && !v.Hidden.Contains(w.UID) && (v.inWindow(w.Date) || v.leaving(w))
}

// shows reports whether the device is to have a version that is there.
func (v *view) shows(w *mail.Version) bool { return w.Left == 0 && v.holds(w) }

// hide notes whether a version is \Deleted and so not shown. Where too many are, it is
// shown all the same.
func (v *view) hide(w *mail.Version) {
	yes := w.Left == 0 && w.Flags.Has(mail.Deleted) && v.reached(w) && (v.inWindow(w.Date) || v.leaving(w))
	if v.Hidden.Contains(w.UID) == yes {
		return
	}
	if yes {
		if all := with(v.Hidden, w.UID); len(all) <= maxHiddenRanges {
			v.Hidden = all
		}
		return
	}
	v.Hidden = without(v.Hidden, w.UID)
}

func with(s mail.UIDSet, uid mail.UID) mail.UIDSet {
	s = slices.Clone(s)
	s.Add(uid)
	return s
}

func without(s mail.UIDSet, uid mail.UID) mail.UIDSet {
	var rest mail.UIDSet
	for _, r := range s {
		if r.First <= uid && uid <= r.Last {
			if r.First < uid {
				rest.AddRange(r.First, uid-1)
			}
			if uid < r.Last {
				rest.AddRange(uid+1, r.Last)
			}
			continue
		}
		rest.AddRange(r.First, r.Last)
	}
	return rest
}

// isOwn reports whether the last change of a placement is the device's own.
func (v *view) isOwn(uid mail.UID, at mail.ModSeq) bool {
	return slices.ContainsFunc(v.Own, func(o own) bool { return o.At == at && o.UIDs.Contains(uid) })
}

// did notes changes of the device's own.
func (v *view) did(at mail.ModSeq, uids mail.UIDSet) {
	if len(uids) > 0 {
		v.Own = append(slices.Clip(v.Own), own{at, uids})
	}
}

// ended brings the view to the end of the log.
func (v *view) ended(at mail.Position) {
	v.Log, v.Made, v.Last = at, 0, 0
	v.Own = slices.DeleteFunc(slices.Clone(v.Own), func(o own) bool { return o.At <= at.Since })
}

// refloor moves the floor towards where it is to be, one way at a time: what is to
// leave does, and what is to come is filled in, before it moves again.
func (v *view) refloor(floor int64) {
	switch {
	case floor == v.Floor || v.Soft != nil:
	case floor > v.Floor:
		v.Soft = &soft{v.Floor, place{floor, 0}}
		v.Floor = floor
	case v.Fill == nil:
		v.Fill = &fill{v.Log.Since, place{v.Floor, 0}}
		v.Floor = floor
	}
}

// filled reports whether the filling has got down to the floor.
func (v *view) filled() bool {
	return v.Fill == nil || v.Floor != 0 && v.Fill.At.passed(place{v.Floor, 0})
}

// filterDays are what the filter types of mail let stand (MS-ASCMD §2.2.3.68.2).
var filterDays = map[int]int{1: 1, 2: 3, 3: 7, 4: 14}

// floorOf is the oldest date of a filter type: the beginning of a day, so that it
// moves once a day.
func floorOf(filter int, now time.Time) int64 {
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	switch filter {
	case 0:
		return 0
	case 5:
		return day.AddDate(0, -1, 0).UnixMicro()
	}
	return day.AddDate(0, 0, -filterDays[filter]).UnixMicro()
}
