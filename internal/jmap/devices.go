package jmap

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"lockstep/internal/device"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

func deviceID(id mail.DeviceID) string { return numbered('D', int64(id)) }

func parseDeviceID(s string) (mail.DeviceID, bool) {
	n, ok := parseNumbered('D', s)
	return mail.DeviceID(n), ok
}

var deviceProperties = []string{"id", "name", "protocol", "protocols", "client", "created", "lastSeen", "lastAddress", "access", "wipe", "told", "isCurrent", "isConnected", "hasAppPassword",
	"isDownloadOnly", "behind", "collections", "commands", "skipped", "restarts", "policy"}

// deviceGet serves Device/get. A device's state is the account's last change: what
// people decide of it is one, when it was last seen is not. It costs one row for each
// device, and what it is behind by, up to maxBehind.
func deviceGet(ctx context.Context, c *call, a *getArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	wanted, all, err := c.wantedIDs(a.IDs)
	if err != nil {
		return err
	}
	properties, err := wantedProperties(a.Properties, deviceProperties, deviceProperties)
	if err != nil {
		return err
	}
	creds, err := c.srv.Directory.Credentials(ctx, c.sess.Principal.ID)
	if err != nil {
		return err
	}
	d := &deviceTeller{call: c, creds: creds, connected: c.srv.Accounts.Connected(account), ctx: ctx, account: account}
	out := newGetAnswer(a.AccountID)
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		*out = *newGetAnswer(a.AccountID)
		acct, err := r.Account()
		if err != nil {
			return err
		}
		out.State = mail.Token{Epoch: acct.Epoch, ModSeq: acct.Head}.String()
		rows, err := r.Devices()
		if err != nil {
			return err
		}
		found := map[string]bool{}
		for _, row := range rows {
			id := deviceID(row.ID)
			if !all && !slices.Contains(wanted, id) {
				continue
			}
			found[id] = true
			o, err := d.tell(r, acct, row)
			if err != nil {
				return err
			}
			out.List = append(out.List, o.only(properties))
		}
		for _, id := range wanted {
			if !found[id] {
				out.NotFound = append(out.NotFound, id)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

// deviceTeller says what is known of devices.
type deviceTeller struct {
	*call
	ctx       context.Context
	account   mail.AccountID
	creds     []store.Credential
	connected map[mail.DeviceID]int
}

func (t *deviceTeller) tell(r store.Reader, acct mail.Account, d mail.Device) (object, error) {
	o := object{
		"id": deviceID(d.ID), "name": d.Name, "protocol": d.Protocol, "protocols": []string{}, "client": d.Client, "created": utcDate(d.Created), "lastSeen": utcDate(d.LastSeen),
		"lastAddress": d.LastAddr, "access": d.Access.String(), "wipe": nil, "told": toldOf(d.Told), "isCurrent": d.ID == t.sess.Device().ID, "isConnected": t.connected[d.ID] > 0,
		"hasAppPassword": false, "isDownloadOnly": d.Protocol.DownloadOnly(),
	}
	if d.Wipe.State != mail.WipeNone {
		o["wipe"] = object{"scope": d.Wipe.Scope, "state": d.Wipe.State, "at": utcDate(d.Wipe.At), "status": d.Wipe.Status}
	}
	for _, c := range t.creds {
		if c.Device == d.ID && c.Kind == store.AppPassword {
			o["hasAppPassword"], o["protocols"] = true, protocolNames(c.Protocols)
			o["isDownloadOnly"] = len(c.Protocols) == 1 && c.Protocols[0].DownloadOnly()
		}
	}
	return o, t.tellPlace(r, acct, d, o)
}

// tellPlace adds how far a device has come. One that is told of each change as it
// waits is in step; where it says how far it came, so many changes it is behind; any
// other by what changed since it was last here.
func (t *deviceTeller) tellPlace(r store.Reader, acct mail.Account, d mail.Device, o object) error {
	trails, err := t.trails(d)
	if err != nil {
		return err
	}
	behind, collections := 0, []object{}
	commands, skipped, restarts := []device.Command{}, []device.Skip{}, []device.Restart{}
	for _, trail := range trails {
		commands, skipped, restarts = append(commands, trail.Commands...), append(skipped, trail.Skipped...), append(restarts, trail.Restarts...)
		for _, m := range trail.Marks {
			n, err := behindMark(r, acct, m)
			if mail.KindOf(err) == mail.NotFound && err != nil {
				continue // the mailbox is gone, and the device will hear of that
			}
			if err != nil {
				return err
			}
			behind += n
			collections = append(collections, object{"mailboxId": m.Mailbox.String(), "behind": n, "at": utcDate(m.At)})
		}
	}
	if len(trails) == 0 && t.connected[d.ID] == 0 {
		if behind, err = behindSince(r, d); err != nil {
			return err
		}
	}
	o["behind"], o["collections"] = min(behind, maxBehind), collections
	o["commands"], o["skipped"], o["restarts"] = commandsOf(commands), skippedOf(skipped), restartsOf(restarts)
	return t.tellPolicy(r, d, len(trails) > 0, o)
}

func (t *deviceTeller) trails(d mail.Device) (map[string]device.Trail, error) {
	if t.srv.Trails == nil {
		return nil, nil
	}
	return t.srv.Trails.Of(t.ctx, t.account, d.ID)
}

// tellPolicy adds the policy of a device that is asked to keep to one.
func (t *deviceTeller) tellPolicy(r store.Reader, d mail.Device, synced bool, o object) error {
	o["policy"] = nil
	if !synced {
		return nil
	}
	name, _, known, err := t.srv.Policies.Of(r)
	if err != nil {
		return err
	}
	a := d.Told.Policy
	o["policy"] = object{"name": name, "isConfigured": known, "answered": a.Name, "answeredAt": utcDate(a.At), "status": a.Status}
	return nil
}

// behindMark counts what changed in a mailbox since the device's place in it.
func behindMark(r store.Reader, acct mail.Account, m device.Mark) (int, error) {
	if _, err := r.Mailbox(m.Mailbox); err != nil {
		return 0, err
	}
	page, err := r.Changes(store.ChangeQuery{Type: mail.TypePlacement, Mailbox: m.Mailbox, From: acct.Epoch.At(min(m.ModSeq, acct.Head)), Limit: maxBehind})
	if mail.KindOf(err) == mail.TooOld && err != nil {
		return maxBehind, nil // longer away than history reaches
	}
	return len(page.Changes), err
}

// behindSince counts what others did since the device was last here.
func behindSince(r store.Reader, d mail.Device) (n int, err error) {
	if d.LastSeen.IsZero() {
		return 0, nil
	}
	records, err := r.Journal(store.JournalQuery{Limit: maxBehind})
	for _, rec := range records {
		if !rec.Time.After(d.LastSeen) {
			break
		}
		if rec.Device != d.ID {
			n++
		}
	}
	return n, err
}

func commandsOf(all []device.Command) []object {
	out := []object{}
	for _, c := range all {
		out = append(out, object{"at": utcDate(c.At), "times": c.Times, "name": c.Name, "version": c.Version, "status": c.Status, "tookMs": c.Took.Milliseconds()})
	}
	return out
}

func skippedOf(all []device.Skip) []object {
	out := []object{}
	for _, s := range all {
		out = append(out, object{"at": utcDate(s.At), "collection": s.Collection, "item": s.Item, "why": s.Why})
	}
	return out
}

func restartsOf(all []device.Restart) []object {
	out := []object{}
	for _, r := range all {
		out = append(out, object{"at": utcDate(r.At), "collection": r.Collection, "why": r.Why})
	}
	return out
}

func toldOf(t mail.Told) object {
	return object{"kind": t.Kind, "model": t.Model, "os": t.OS, "language": t.Language, "friendlyName": t.FriendlyName, "userAgent": t.UserAgent, "version": t.Version}
}

func protocolNames(all []mail.Protocol) []string {
	out := []string{}
	for _, p := range all {
		out = append(out, string(p))
	}
	return out
}

// utcDate spells a moment (§1.4); none is null.
func utcDate(t time.Time) any {
	if t.IsZero() {
		return nil
	}
	return t.UTC().Truncate(time.Second).Format(time.RFC3339)
}

// newDevice is what a client gives of a device that it makes: one that signs in with
// an app password of its own.
type newDevice struct {
	Name      string          `json:"name"`
	Protocols []mail.Protocol `json:"protocols"`
}

// forDevices are the protocols that an app password can be for.
var forDevices = []mail.Protocol{mail.IMAP, mail.POP3, mail.Submission, mail.EAS, mail.JMAP}

// deviceSet serves Device/set: create makes an app password, told once; update
// changes name, access ("allowed", "blocked", "quarantined") and wipe ({"scope":
// "account"|"device"}, or null to take it back); destroy signs a device out, whose row
// and history stay.
func deviceSet(ctx context.Context, c *call, a *setArguments) error {
	account, err := c.account(a.AccountID)
	if err != nil {
		return err
	}
	if err := c.bounded(a); err != nil {
		return err
	}
	if a.IfInState != nil {
		return invalidArguments("devices have no state to compare with", "ifInState")
	}
	out := &setAnswer{AccountID: a.AccountID}
	for creation, raw := range a.Create {
		if err := c.createDevice(ctx, out, creation, raw); err != nil {
			out.notCreated(creation, c.srv.setErrorOf(ctx, c.name, err))
		}
	}
	for id, patch := range a.Update {
		if err := c.updateDevice(ctx, account, id, patch); err != nil {
			out.notUpdated(id, c.srv.setErrorOf(ctx, c.name, err))
			continue
		}
		out.updated(id, nil)
	}
	for _, id := range a.Destroy {
		if err := c.signOutDevice(ctx, id); err != nil {
			out.notDestroyed(id, c.srv.setErrorOf(ctx, c.name, err))
			continue
		}
		out.Destroyed = append(out.Destroyed, id)
	}
	err = c.srv.Store.View(ctx, account, func(r store.Reader) error {
		acct, err := r.Account()
		out.NewState = mail.Token{Epoch: acct.Epoch, ModSeq: acct.Head}.String()
		return err
	})
	if err != nil {
		return err
	}
	return c.answer(out)
}

func (c *call) createDevice(ctx context.Context, out *setAnswer, creation string, raw json.RawMessage) error {
	var n newDevice
	if err := decodeStrict(raw, &n); err != nil {
		return invalidProperties("a new device has a name and protocols: " + err.Error())
	}
	for _, p := range n.Protocols {
		if !slices.Contains(forDevices, p) {
			return invalidProperties(string(p)+" is no protocol that devices sign in by", "protocols")
		}
	}
	if err := c.srv.Accounts.Proven(c.sess); err != nil { // with a stolen session nobody makes one that stays
		return err
	}
	d, secret, err := c.srv.Accounts.AddDevice(ctx, c.sess.Principal, n.Name, n.Protocols)
	if err != nil {
		return err
	}
	out.did(c, creation, deviceID(d.ID), object{"appPassword": secret, "login": c.sess.Principal.Login, "name": d.Name})
	return nil
}

// updateDevice makes each change that a patch asks for. A wipe and a block are
// different things, and are not asked for at once.
func (c *call) updateDevice(ctx context.Context, account mail.AccountID, said string, patch patchObject) error {
	id, ok := parseDeviceID(said)
	if !ok {
		return errNotFound
	}
	for name := range patch {
		if name != "name" && name != "access" && name != "wipe" && name != "startOver" {
			return invalidProperties("only name, access, wipe and startOver can be changed", name)
		}
	}
	if len(patch) > 1 && patch["access"] != nil && patch["wipe"] != nil {
		return invalidProperties("block a device, or wipe it", "access", "wipe")
	}
	if err := c.mayDecide(id); err != nil {
		return err
	}
	for _, step := range []struct {
		name string
		do   func(context.Context, mail.AccountID, mail.DeviceID, json.RawMessage) error
	}{{"name", c.renameDevice}, {"access", c.accessDevice}, {"wipe", c.wipeDevice}, {"startOver", c.startDeviceOver}} {
		if raw, ok := patch[step.name]; ok {
			if err := step.do(ctx, account, id, raw); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *call) renameDevice(ctx context.Context, account mail.AccountID, id mail.DeviceID, raw json.RawMessage) error {
	var name string
	if json.Unmarshal(raw, &name) != nil || name == "" || len(name) > mail.MaxDeviceNameBytes {
		return invalidProperties("a name is a text, not too long", "name")
	}
	_, err := c.srv.Accounts.Rename(ctx, c.sess.Origin(), account, id, name)
	return err
}

func (c *call) accessDevice(ctx context.Context, account mail.AccountID, id mail.DeviceID, raw json.RawMessage) error {
	var word string
	if err := json.Unmarshal(raw, &word); err != nil {
		return invalidProperties("access is a word", "access")
	}
	for _, access := range mail.Accesses() {
		if access.String() == word {
			if access != mail.Allowed && id == c.sess.Device().ID {
				return &setError{Type: "forbidden", Description: "this is the device you are signed in with; use another one to keep it out"}
			}
			if access == mail.Allowed {
				return c.letDeviceIn(ctx, account, id)
			}
			return c.srv.Accounts.SetAccess(ctx, c.sess.Origin(), account, id, access)
		}
	}
	return invalidProperties("access is allowed, quarantined or blocked", "access")
}

// mayDecide is forbidden to a program that would decide about other devices than its
// own: one that somebody stole would throw its owner's out.
func (c *call) mayDecide(id mail.DeviceID) error {
	if c.sess.OfPerson() || id == c.sess.Device().ID {
		return nil
	}
	return &setError{Type: "forbidden", Description: "an app password or a token decides about its own device alone; sign in with the password"}
}

// letDeviceIn is for people: a program that somebody stole would let the thief's phone
// in.
func (c *call) letDeviceIn(ctx context.Context, account mail.AccountID, id mail.DeviceID) error {
	if !c.sess.OfPerson() {
		return &setError{Type: "forbidden", Description: "to let a device in, sign in with a browser: an app password or a token is not enough"}
	}
	return c.srv.Accounts.SetAccess(ctx, c.sess.Origin(), account, id, mail.Allowed)
}

func (c *call) wipeDevice(ctx context.Context, account mail.AccountID, id mail.DeviceID, raw json.RawMessage) error {
	var wipe *struct {
		Scope mail.WipeScope `json:"scope"`
	}
	if err := decodeStrict(raw, &wipe); err != nil {
		return invalidProperties("wipe has a scope, or is null", "wipe")
	}
	if wipe == nil { // taken back: what also lets it in again
		return c.letDeviceIn(ctx, account, id)
	}
	if wipe.Scope != mail.WipeAccount && wipe.Scope != mail.WipeDevice {
		return invalidProperties("a wipe is of the account or of the device", "wipe")
	}
	if err := c.srv.Accounts.Proven(c.sess); err != nil {
		return err
	}
	_, err := c.srv.Accounts.RequestWipe(ctx, c.sess.Origin(), account, id, wipe.Scope)
	return err
}

// startDeviceOver has a device that speaks ActiveSync fill its folders anew.
func (c *call) startDeviceOver(ctx context.Context, account mail.AccountID, id mail.DeviceID, raw json.RawMessage) error {
	if string(raw) != "true" {
		return invalidProperties("startOver is true, or not there", "startOver")
	}
	return c.srv.Accounts.StartOver(ctx, account, id)
}

func (c *call) signOutDevice(ctx context.Context, said string) error {
	id, ok := parseDeviceID(said)
	if !ok {
		return errNotFound
	}
	if err := c.mayDecide(id); err != nil {
		return err
	}
	return c.srv.Accounts.SignOut(ctx, c.sess.Principal, id)
}
