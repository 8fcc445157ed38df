package eas

import (
	"context"
	"net/http"
	"sync"
	"time"

	"lockstep/internal/eas/wbxml"
	"lockstep/internal/longpoll"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// A vigil is what is left of a command that waits until there is something to tell
// (MS-ASCMD §2.2.1.13, §2.2.1.21). Nothing in it may hold on to the request that it
// came with.
type vigil struct {
	until     time.Time
	mailboxes []mail.MailboxID // news of others is not looked at; that of the hierarchy always is
	// look says, in one snapshot, whether there is something to tell; only mailboxes
	// that news touch need to be looked at. It is called by one goroutine at a time.
	look func(q *request, r store.Reader, news mail.News) (bool, error)
	// tell makes the answer when the wait is over. Found is what look said last, or how
	// it failed; false is that time is up, or that the device should ask again.
	tell func(q *request, found bool, err error) (*answer, error)
}

// anything is news that touch everything.
var anything = mail.News{Types: ^mail.TypeSet(0), Many: true}

// watch is a vigil under way. It holds no goroutine: see longpoll.
type watch struct {
	vigil
	longpoll.Wait
	q       *request
	addr    string
	packing string // the Accept-Encoding of the request
	stop    context.CancelFunc
	leave   func()   // what waits for the device
	forget  []func() // what else the vigil holds

	mu      sync.Mutex
	news    mail.News // that was not looked at yet
	looking bool
	over    bool // it was found, or the look failed, or the device was signed out
	found   bool
	err     error
	vain    bool // the device was told before, and its Sync brought nothing
}

// keep has a request answered when its vigil is over.
func (s *Server) keep(w http.ResponseWriter, r *http.Request, q *request, v *vigil) {
	ctx, stop := context.WithCancel(context.Background())
	k := &watch{vigil: *v, addr: r.RemoteAddr, packing: r.Header.Get("Accept-Encoding"), stop: stop, news: anything, looking: true}
	k.q = &request{query: q.query, srv: s, ctx: ctx, sess: q.sess, cmd: q.cmd, hash: q.hash, policyName: q.policyName, policy: q.policy, doc: q.doc}
	k.Wait.Until, k.Wait.Over = v.until, k.answer
	k.leave = s.paces.begin(k.q.deviceKey(), k)
	k.forget = []func(){
		s.Auth.Track(q.sess, func(string) { k.bar() }),
		s.Store.Watch(q.account(), k.hear),
	}
	if k.search() && k.wake() <= 0 {
		k.answer(longpoll.Ended, w)
		return
	}
	k.Hold(w, r)
}

// bar ends the vigil of a device that was signed out: it is told nothing but to ask
// again, and then why not.
func (k *watch) bar() {
	k.mu.Lock()
	k.over, k.found, k.err = true, false, nil
	k.mu.Unlock()
	k.End()
}

// hear takes note of news that concern the vigil. It must not block.
func (k *watch) hear(n mail.News) {
	if !k.concerns(n) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.news = k.news.Merge(n)
	if !k.looking && !k.over {
		k.looking = true
		go k.lookAgain()
	}
}

func (k *watch) concerns(n mail.News) bool {
	if n.Types.Has(mail.TypeNames) {
		return true
	}
	for _, mb := range k.mailboxes {
		if n.Touches(mb) {
			return true
		}
	}
	return false
}

// search looks at what was heard until nothing is left of it, and reports whether
// there is something to tell.
func (k *watch) search() bool {
	for {
		k.mu.Lock()
		news := k.news
		k.news = mail.News{}
		if news.ModSeq == 0 && !news.Many {
			k.looking = false
			k.mu.Unlock()
			return false
		}
		k.mu.Unlock()
		found, err := k.lookAt(news)
		if found || err != nil {
			k.settle(found, err)
			return true
		}
	}
}

// lookAt looks once, while no Sync of the device is under way in what is looked at:
// its own changes are known to be its own only when it is done.
func (k *watch) lookAt(news mail.News) (found bool, err error) {
	var names []string
	for _, mb := range k.mailboxes {
		if news.Touches(mb) {
			names = append(names, folderID(mb))
		}
	}
	if unlock, ok := k.q.srv.collections.lockAll(k.q.ctx, k.q.deviceKey(), names); ok {
		defer unlock()
	}
	err = k.q.view(func(r store.Reader) (err error) {
		found, err = k.look(k.q, r, news)
		return err
	})
	return found, err
}

func (k *watch) settle(found bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.looking = false; !k.over {
		k.over, k.found, k.err = true, found, err
	}
}

// lookAgain ends the vigil if there is something to tell.
func (k *watch) lookAgain() {
	if k.search() {
		k.wake()
	}
}

// wake ends the vigil: at once after a quiet time, else when what follows the last
// change has had time to come too. It returns how long that takes; 0 is left to a
// caller who has not held the request yet.
func (k *watch) wake() time.Duration {
	late, vain := k.q.srv.paces.wake(k.q.deviceKey(), time.Now())
	k.mu.Lock()
	k.vain = vain
	k.mu.Unlock()
	if late > 0 {
		time.AfterFunc(late, k.End)
	} else {
		k.Finish()
	}
	return late
}

// answer is what ends the wait: it gives back what the vigil held, once the device, which
// may come with its next command at once, has heard.
func (k *watch) answer(why longpoll.Why, w http.ResponseWriter) {
	began := time.Now()
	k.leave()
	defer func() {
		k.stop()
		for _, forget := range k.forget {
			forget()
		}
	}()
	k.mu.Lock()
	found, err, vain := k.found, k.err, k.vain
	k.mu.Unlock()
	if why == longpoll.Gone {
		if found {
			k.q.srv.paces.unheard(k.q.deviceKey())
		}
		return
	}
	k.q.http = (&http.Request{Method: http.MethodPost, RemoteAddr: k.addr, Header: http.Header{"Accept-Encoding": {k.packing}}}).WithContext(k.q.ctx)
	w.Header().Set("MS-Server-ActiveSync", serverVersion)
	a, err := k.tell(k.q, found, err)
	if vain && err == nil {
		k.complain(a)
	}
	k.q.srv.reply(w, k.q.http, k.q, a, err, began)
}

// complain notes that a device goes in circles, which is our bug: what wakes it and
// what Sync tells do not agree.
func (k *watch) complain(a *answer) {
	var folders []string
	for e := range a.root.Child(wbxml.PingFolders).All(wbxml.PingFolder) {
		folders = append(folders, e.Text)
	}
	k.q.srv.Log.Warn("device is woken again and again, and its Sync brings nothing", "proto", "activesync", "account", k.q.sess.Principal.Login, "device", k.q.deviceID, "cmd", k.q.cmd.name, "folders", folders)
}
