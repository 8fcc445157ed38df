package storetest

import (
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

var preferenceChecks = []check{
	{"PreferencesHoldTheirDefaultUntilChosen", preferencesDefault},
	{"UndoOfAChoiceChoosesTheFormer", undoChoice},
}

func (s *subject) preference(p mail.Preference) string {
	return must(view(s, func(r store.Reader) (string, error) { return r.Preference(p) }))
}

func (s *subject) choose(p mail.Preference, value string) mail.ModSeq {
	return must(s.Update(ctx, s.account, s.origin(0), func(tx store.Tx) error { return tx.SetPreference(p, value) }))
}

func preferencesDefault(t *trial) {
	s := t.subject()
	equal("at first", s.preference(mail.POP3Delete), mail.ToTrash)
	before := s.head()
	equal("choosing is one change", s.choose(mail.POP3Delete, mail.ForGood), before+1)
	equal("chosen", s.preference(mail.POP3Delete), mail.ForGood)
	equal("the other", s.preference(mail.Guard), mail.GuardKeep)
	equal("choosing the same is none", s.choose(mail.POP3Delete, mail.ForGood), 0)
	e := s.records(store.JournalQuery{Limit: 1})[0].Entries[0]
	equal("what the record says", string(e.Op)+" "+e.Name+" "+string(e.New), "preference pop3.delete delete")
	equal("that nothing was chosen before", e.Old == nil, true)
	s.choose(mail.POP3Delete, "")
	equal("what had been chosen before", string(s.records(store.JournalQuery{Limit: 1})[0].Entries[0].Old), mail.ForGood)
	equal("the default again", s.preference(mail.POP3Delete), mail.ToTrash)
	s.choose(mail.POP3Delete, mail.ToTrash)
	equal("the default, chosen", s.preference(mail.POP3Delete), mail.ToTrash)
	want(mail.Invalid, s.do(func(tx store.Tx) error { return tx.SetPreference(mail.POP3Delete, mail.GuardHold) }))
	want(mail.Invalid, s.do(func(tx store.Tx) error { return tx.SetPreference("pop3", mail.ToTrash) }))
	_, err := view(s, func(r store.Reader) (string, error) { return r.Preference("pop3") })
	want(mail.Invalid, err)
}

func undoChoice(t *trial) {
	s := t.subject()
	s.choose(mail.Guard, mail.GuardOff)
	act := mail.ActID(s.choose(mail.Guard, mail.GuardHold))
	equal("what the record says was chosen before", string(s.records(store.JournalQuery{Limit: 1})[0].Entries[0].Old), mail.GuardOff)
	undo := func() mail.UndoReport {
		return must(update(s, func(tx store.Tx) (mail.UndoReport, error) { return tx.Undo(act) }))
	}
	equal("undone", undo().Undone, 1)
	equal("chosen before", s.preference(mail.Guard), mail.GuardOff)
	equal("what was chosen since is left", len(undo().Left), 1)
	equal("and stays", s.preference(mail.Guard), mail.GuardOff)
}
