package imap

import (
	"slices"
	"sync/atomic"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// metadataWatch hears of annotations that others change, once METADATA is enabled
// (RFC 5464 §4.4).
type metadataWatch struct {
	stop  func()
	heard atomic.Uint64 // the newest ModSeq that changed annotations
	told  mail.ModSeq   // up to which the client knows
	own   []mail.ModSeq // what this session itself changed since

	enabled bool // by ENABLE; else NOTIFY says which are told
}

// watchMetadata begins to tell of annotations that others change.
func (s *session) watchMetadata() error {
	if s.metadata != nil {
		return nil
	}
	m := &metadataWatch{}
	m.stop = s.srv.Store.Watch(s.user.Account(), func(n mail.News) {
		if n.Types.Has(mail.TypeMetadata) {
			m.heard.Store(uint64(n.ModSeq))
			s.Wake()
		}
	})
	err := s.view(s.ctx, func(r store.Reader) error {
		a, err := r.Account()
		m.told = a.Head
		return err
	})
	if err != nil {
		m.stop()
		return err
	}
	s.metadata = m
	return nil
}

// leaveMetadata ends it.
func (s *session) leaveMetadata() {
	if s.metadata != nil {
		s.metadata.stop()
		s.metadata = nil
	}
}

// tellMetadata names the annotations that others changed, without their values (RFC
// 5464 §4.4.2).
func (s *session) tellMetadata() error {
	m := s.metadata
	if m == nil || mail.ModSeq(m.heard.Load()) <= m.told {
		return nil
	}
	var head mail.ModSeq
	var changed []mail.Metadata
	paths := map[mail.MailboxID]string{}
	err := s.view(s.ctx, func(r store.Reader) error {
		a, err := r.Account()
		if err != nil {
			return err
		}
		head = a.Head
		if changed, err = r.MetadataSince(max(m.told, a.Exact()), owner); err != nil {
			return err
		}
		for _, c := range changed {
			if _, known := paths[c.Mailbox]; c.Mailbox == 0 || known {
				continue
			}
			mb, err := r.Mailbox(c.Mailbox)
			if err != nil {
				return err
			}
			paths[mb.ID] = mb.Path
		}
		return nil
	})
	if err != nil {
		return err
	}
	changed = slices.DeleteFunc(changed, func(c mail.Metadata) bool {
		return slices.Contains(m.own, c.ModSeq) || !s.wantsMetadata(c, paths[c.Mailbox])
	})
	s.sayMetadataNames(changed, paths)
	m.told, m.own = head, nil
	return s.enc.Err()
}

// sayMetadataNames writes one response for each mailbox.
func (s *session) sayMetadataNames(changed []mail.Metadata, paths map[mail.MailboxID]string) {
	for i, c := range changed {
		if i == 0 || changed[i-1].Mailbox != c.Mailbox {
			s.enc.Star().Atom("METADATA").Mailbox(paths[c.Mailbox])
		}
		s.enc.AString(c.Name)
		if i == len(changed)-1 || changed[i+1].Mailbox != c.Mailbox {
			s.enc.End()
		}
	}
}
