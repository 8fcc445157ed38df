package mail

// Erasing says what is to be erased of an account.
type Erasing struct {
	Messages []MessageKey
	Objects  []ObjectID // of whatever type, such as what is kept of a message that was sent
}

// MaxErasing bounds the messages, and the objects, of one transaction.
const MaxErasing = 500

// Erased counts what an erasing took away.
type Erased struct {
	Messages    int
	Placements  int // that were there
	Departed    int // that had left before
	Objects     int
	Annotations int
	Uploads     int
	Names       int // by which conversations were found
	Records     int // of the journal, that said something of them
}

// Add counts what another one took.
func (e *Erased) Add(o Erased) {
	e.Messages += o.Messages
	e.Placements += o.Placements
	e.Departed += o.Departed
	e.Objects += o.Objects
	e.Annotations += o.Annotations
	e.Uploads += o.Uploads
	e.Names += o.Names
	e.Records += o.Records
}

// Effaced takes out of entries what they say of messages and objects that are erased:
// flags, annotations, what became of objects. That something came, was moved and left
// stays, and that something was said. It reports whether there was anything.
func Effaced(entries []Entry, messages map[MailboxID]UIDSet, objects map[ObjectID]bool) (left []Entry, changed bool) {
	for _, e := range entries {
		gone := messages[e.Mailbox].Common(e.UIDs)
		switch {
		case (e.Op == OpFlags || e.Op == OpAnnotate) && len(gone) > 0:
			left = append(left, Entry{Op: OpErased, Mailbox: e.Mailbox, UIDs: gone})
			changed = true
			if e.UIDs = e.UIDs.Without(gone); len(e.UIDs) > 0 {
				left = append(left, e)
			}
			continue
		case e.Op == OpObject && objects[e.Object]:
			e = Entry{Op: OpErased, Type: e.Type, Object: e.Object}
			changed = true
		}
		left = append(left, e)
	}
	return left, changed
}
