package eas

import (
	"strconv"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// Statuses of GetItemEstimate (MS-ASCMD §2.2.3.177.8).
const (
	estimateOK         = 1
	estimateCollection = 2
	estimateNotPrimed  = 3
	estimateKey        = 4
)

// getItemEstimate says how much a Sync would tell (MS-ASCMD §2.2.1.9), by the way that
// Sync finds it, and changes nothing. It costs what it counts, of which there is no
// more than maxEstimate.
func (q *request) getItemEstimate() (*answer, error) {
	root := wbxml.New(wbxml.EstimateGetItemEstimate)
	list := q.in.Child(wbxml.EstimateCollections)
	if list == nil || len(list.Children) == 0 || len(list.Children) > maxSyncCollections {
		return nil, fail(statusXML, "no collections, or more than %d", maxSyncCollections)
	}
	for e := range list.All(wbxml.EstimateCollection) {
		response, err := q.estimate(e)
		if err != nil {
			return nil, err
		}
		root.Add(response)
	}
	return &answer{root: root}, nil
}

func (q *request) estimate(in *wbxml.Element) (*wbxml.Element, error) {
	c := &syncCollection{id: in.Get(wbxml.EstimateCollectionId), key: in.Get(wbxml.AirSyncSyncKey)}
	status, n := estimateOK, 0
	switch filter := wishedFilter(in); {
	case filter > tasksFilter:
		return wbxml.New(wbxml.EstimateResponse, wbxml.Int(wbxml.EstimateStatus, int(statusXML))), nil
	case filter > mailFilter:
		return nil, fail(statusServer, "mail has no filter %d", filter)
	}
	err := q.parseOptions(c, in)
	if filter := in.Get(wbxml.AirSyncFilterType); err == nil && filter != "" { // to 12.1 it is not among options
		c.filter, err = filterOf(in)
		c.filtered = true
	}
	if err != nil {
		return nil, fail(statusContent, "options that hold nothing")
	}
	err = q.view(func(r store.Reader) (err error) {
		status, n, err = q.countNew(r, c)
		return err
	})
	if err != nil {
		return nil, err
	}
	e := wbxml.New(wbxml.EstimateResponse, wbxml.Int(wbxml.EstimateStatus, status))
	if status != estimateOK {
		return e, nil
	}
	told := wbxml.New(wbxml.EstimateCollection)
	if q.version <= v121 {
		told.Add(wbxml.Text(wbxml.EstimateClass, classEmail))
	}
	return e.Add(told.Add(wbxml.Text(wbxml.EstimateCollectionId, c.id), wbxml.Int(wbxml.EstimateEstimate, n))), nil
}

// The last values of FilterType: that of mail, and that of any class (MS-ASCMD
// §2.2.3.68).
const (
	mailFilter  = 5
	tasksFilter = 8
)

// wishedFilter is the filter that options say for mail; what is no number is left to
// who reads all of them.
func wishedFilter(in *wbxml.Element) int {
	for o := range in.All(wbxml.AirSyncOptions) {
		if class := o.Get(wbxml.AirSyncClass); class == "" || class == classEmail {
			n, _ := strconv.Atoi(o.Get(wbxml.AirSyncFilterType))
			return n
		}
	}
	return 0
}

func (q *request) countNew(r store.Reader, c *syncCollection) (status, n int, err error) {
	mb, ok := parseFolderID(c.id)
	if !ok && c.id != outboxID {
		return estimateCollection, 0, nil
	}
	state, _, err := q.loadCollection(r, c.id)
	if err != nil {
		return 0, 0, err
	}
	if ok {
		if _, err := r.Mailbox(mb); mail.KindOf(err) == mail.NotFound && err != nil {
			return estimateCollection, 0, nil
		}
	}
	if c.key == "0" || state.last() == nil {
		return estimateNotPrimed, 0, nil
	}
	a, err := r.Account()
	if err != nil {
		return 0, 0, err
	}
	rel, how := state.find(c.key, a.Head)
	if rel == nil {
		return estimateKey, 0, nil
	}
	if !ok {
		return estimateOK, 0, nil
	}
	from, floor := rel.Current.View, rel.floor(q.srv.now().UTC(), q.policy.MailAge)
	if how == isBefore {
		from = rel.Before.View
	}
	if c.filtered {
		floor = floorOf(q.policy.MailAge.CapFilter(c.filter), q.srv.now().UTC())
	}
	p, _, err := plan(r, mb, from, floor, maxEstimate)
	if mail.KindOf(err) == mail.TooOld && err != nil {
		return estimateKey, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	return estimateOK, p.count(), nil
}
