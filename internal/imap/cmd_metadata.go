package imap

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"lockstep/internal/imap/wire"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// owner is who sees their own mailboxes.
const owner mail.PrincipalID = 0

// Annotations that follow from something else.
const (
	adminEntry      = "/shared/admin"       // of the server (RFC 5464 §6.2.2); nobody can set it
	specialUseEntry = "/private/specialuse" // of a mailbox (RFC 6154 §4)
)

// getMetadata serves GETMETADATA (RFC 5464 §4.2).
func (s *session) getMetadata(ctx context.Context, cmd *wire.GetMetadata, r *reply) error {
	names, err := metadataNames(cmd.Entries)
	if err != nil {
		return err
	}
	at, err := s.reach(ctx, cmd.Mailbox)
	if err != nil {
		return err
	}
	var mb mail.Mailbox
	var all []mail.Metadata
	err = s.viewAt(ctx, at, func(r store.Reader) (err error) {
		if cmd.Mailbox != "" {
			if mb, _, err = s.find(r, at, mail.MayRead); err != nil {
				return err
			}
		}
		all, err = s.annotations(r, at, mb)
		return err
	})
	if err != nil {
		return err
	}
	found := pickMetadata(all, names, cmd.Depth)
	if cmd.MaxSize != nil {
		if longest := longerThan(int(*cmd.MaxSize), found); longest > 0 {
			r.code = "METADATA LONGENTRIES " + strconv.Itoa(longest)
		}
		found = slices.DeleteFunc(found, func(m mail.Metadata) bool { return len(m.Value) > int(*cmd.MaxSize) })
	}
	s.sayMetadata(at.name(mb.Path), found)
	return nil
}

// metadataNames folds the names a client asks for. One that can't be is BAD (RFC
// 5464 §3.2).
func metadataNames(entries []string) ([]string, error) {
	var names []string
	for _, e := range entries {
		name, err := mail.MetadataName(e)
		if err != nil {
			return nil, badName(err)
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

func badName(err error) error {
	if mail.KindOf(err) == mail.Invalid {
		return errBad(mail.DetailOf(err))
	}
	return err
}

// annotations are those of a mailbox, or with the zero one of the server, also
// those that follow from something else.
func (s *session) annotations(r store.Reader, at reach, mb mail.Mailbox) ([]mail.Metadata, error) {
	all, err := r.Metadata(mb.ID, at.as) // private ones are of each who sees the mailbox
	if mb.ID == 0 {
		_, domain, _ := strings.Cut(s.user.Principal.Login, "@")
		all = append(all, mail.Metadata{Name: adminEntry, Value: []byte("mailto:postmaster@" + domain)})
	} else if use := specialUse(mb.Role); use != "" && at.as == 0 {
		all = append(all, mail.Metadata{Name: specialUseEntry, Value: []byte(use)})
	}
	return all, err
}

// pickMetadata returns the annotations of those names, and as far below as the
// depth says. A name under which there is nothing is there without a value.
func pickMetadata(all []mail.Metadata, names []string, depth wire.Depth) []mail.Metadata {
	var found []mail.Metadata
	said := map[string]bool{}
	for _, name := range names {
		some := said[name]
		for _, m := range all {
			if !isBelow(m.Name, name, depth) {
				continue
			}
			if some = true; !said[m.Name] {
				said[m.Name] = true
				found = append(found, m)
			}
		}
		if !some {
			said[name] = true
			found = append(found, mail.Metadata{Name: name})
		}
	}
	return found
}

func isBelow(name, top string, depth wire.Depth) bool {
	rest, ok := strings.CutPrefix(name, top)
	switch {
	case !ok || rest != "" && rest[0] != '/':
		return false
	case rest == "" || depth == wire.DepthInfinity:
		return true
	}
	return depth == wire.DepthOne && strings.Count(rest, "/") == 1
}

// longerThan returns the size of the longest value past n; 0 is none.
func longerThan(n int, all []mail.Metadata) (longest int) {
	for _, m := range all {
		if len(m.Value) > n {
			longest = max(longest, len(m.Value))
		}
	}
	return longest
}

// sayMetadata writes annotations of a mailbox, "" being the server, with their
// values; many of them in several responses.
func (s *session) sayMetadata(path string, all []mail.Metadata) {
	for len(all) > 0 {
		e := s.enc.Star().Atom("METADATA").Mailbox(path).Open()
		for size := 0; len(all) > 0 && size < fetchBytes; all = all[1:] {
			e.AString(all[0].Name).Value(all[0].Value)
			size += len(all[0].Name) + len(all[0].Value)
		}
		e.Close().End()
	}
}

// setMetadata serves SETMETADATA (RFC 5464 §4.3): all entries or none, in one
// transaction.
func (s *session) setMetadata(ctx context.Context, cmd *wire.SetMetadata, _ *reply) error {
	for i, v := range cmd.Entries {
		name, err := mail.MetadataEntry(v.Entry)
		switch {
		case err != nil:
			return badName(err)
		case cmd.Mailbox == "" && name == adminEntry:
			return errNo("NOPERM", "That annotation can't be changed")
		case len(v.Value) > mail.MaxMetadataBytes:
			return errNo("METADATA MAXSIZE "+strconv.Itoa(mail.MaxMetadataBytes), "The annotation is too large")
		}
		cmd.Entries[i].Entry = name
	}
	at, err := s.reach(ctx, cmd.Mailbox)
	if err != nil {
		return err
	}
	n, err := s.updateAt(ctx, at, func(tx store.Tx) error {
		var mb mail.Mailbox
		if cmd.Mailbox != "" {
			var err error
			if mb, _, err = s.find(tx, at, mayAnnotate(cmd.Entries)); err != nil {
				return err
			}
		}
		for _, v := range cmd.Entries {
			if err := setOneMetadata(tx, at, mb, v); err != nil {
				return err
			}
		}
		return nil
	})
	if s.metadata != nil && n > 0 && at.as == 0 {
		s.metadata.own = append(s.metadata.own, n)
	}
	return err
}

// mayAnnotate is what setting annotations of somebody else's mailbox takes: one's
// own private ones who reads it may, the others who may write.
func mayAnnotate(entries []wire.MetadataValue) mail.Rights {
	need := mail.MayRead
	for _, v := range entries {
		if !mail.IsPrivateMetadata(v.Entry) {
			need |= mail.MayWrite
		}
	}
	return need
}

func setOneMetadata(tx store.Tx, at reach, mb mail.Mailbox, v wire.MetadataValue) error {
	if mb.ID != 0 && v.Entry == specialUseEntry {
		if at.as != 0 {
			return errUseAttr
		}
		return setSpecialUse(tx, mb.ID, string(v.Value))
	}
	err := tx.SetMetadata(mb.ID, at.as, v.Entry, v.Value)
	if err != nil && mail.KindOf(err) == mail.Limit {
		return errNo("METADATA TOOMANY", mail.DetailOf(err))
	}
	return err
}

// setSpecialUse marks a mailbox by its annotation (RFC 6154 §4).
func setSpecialUse(tx store.Tx, id mail.MailboxID, use string) error {
	role, err := roleOf(strings.Fields(use))
	if err != nil {
		return err
	}
	mb, err := tx.Mailbox(id)
	if err != nil {
		return err
	}
	im := mb.Image()
	im.Role = role
	err = tx.SetMailbox(id, im)
	if k := mail.KindOf(err); err != nil && (k == mail.Exists || k == mail.Denied) {
		return errNo("USEATTR", mail.DetailOf(err))
	}
	return err
}

// copyMetadata gives a mailbox the annotations of another: INBOX keeps its own when
// it is renamed (RFC 5464 §4.1).
func copyMetadata(tx store.Tx, from, to mail.MailboxID) error {
	all, err := tx.Metadata(from, owner)
	for _, m := range all {
		if err == nil {
			err = tx.SetMetadata(to, owner, m.Name, m.Value)
		}
	}
	return err
}

// listMetadata reads what LIST was asked for of each mailbox it will name (RFC
// 9590).
func (s *session) listMetadata(r store.Reader, at reach, cmd *wire.List, t *tree, ps patterns) error {
	names, err := metadataNames(cmd.Metadata)
	if err != nil || names == nil {
		return err
	}
	for _, n := range t.nodes {
		if n.mailbox == nil || n.at != at || !n.rights.Has(mail.MayRead) || !n.chosen(cmd) || !ps.match(n.path) {
			continue
		}
		all, err := s.annotations(r, n.at, *n.mailbox)
		if err != nil {
			return err
		}
		n.metadata = pickMetadata(all, names, wire.DepthZero)
	}
	return nil
}
