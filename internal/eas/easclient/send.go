package easclient

import (
	"fmt"
	"slices"

	"lockstep/internal/eas/wbxml"
)

// Letter is a message to be sent.
type Letter struct {
	Mime     []byte
	Save     bool    // in the folder of sent mail
	Folder   *Folder // of what it answers; nil if it answers nothing
	ServerID string

	clientID string
	body     []byte
}

// Compose puts a letter into the phone's outbox.
func (p *Phone) Compose(l *Letter) {
	l.clientID = p.clientID()
	p.outbox = append(p.outbox, l)
}

// Outbox is how many letters wait.
func (p *Phone) Outbox() int { return len(p.outbox) }

// Send sends what waits; what got no answer is sent again as it was (MS-ASCMD
// §2.2.1.17). A letter whose source is gone is sent without one.
func (p *Phone) Send() error {
	for len(p.outbox) > 0 {
		l := p.outbox[0]
		command := "SendMail"
		if l.Folder != nil {
			command = "SmartReply"
		}
		if l.body == nil {
			l.body = bytesOf(l.element())
		}
		a, err := p.do(command, l.body)
		if err != nil {
			return err
		}
		switch s := a.Status(); {
		case a.Root == nil, s == "118": // sent, or sent before
			p.outbox = slices.Delete(p.outbox, 0, 1)
		case s == "150" && l.Folder != nil:
			l.Folder, l.body = nil, nil
		case s == "120", s == "113", s == "115":
			return fmt.Errorf("%w: %s status %s", ErrLater, command, s)
		default:
			p.Blame("%s is answered with %s", command, Short(a.Root))
			p.outbox = slices.Delete(p.outbox, 0, 1)
		}
	}
	return nil
}

func (l *Letter) element() *wbxml.Element {
	root := wbxml.New(wbxml.ComposeSendMail, wbxml.Text(wbxml.ComposeClientId, l.clientID))
	if l.Folder != nil {
		root.Tag = wbxml.ComposeSmartReply
	}
	if l.Save {
		root.Add(wbxml.New(wbxml.ComposeSaveInSentItems))
	}
	if l.Folder != nil {
		root.Add(wbxml.New(wbxml.ComposeSource, wbxml.Text(wbxml.ComposeFolderId, l.Folder.ID), wbxml.Text(wbxml.ComposeItemId, l.ServerID)), wbxml.New(wbxml.ComposeReplaceMime))
	}
	return root.Add(wbxml.Bytes(wbxml.ComposeMime, l.Mime))
}

// Move is an item on its way to another folder.
type Move struct {
	ServerID string
	From, To *Folder
}

// Move notes that an item was moved.
func (p *Phone) Move(m Move) { p.moves = append(p.moves, m) }

// Moving reports whether an item is on its way.
func (p *Phone) Moving(serverID string) bool {
	return slices.ContainsFunc(p.moves, func(m Move) bool { return m.ServerID == serverID })
}

// Carry moves what was moved, one at a time, so that a repeated request is the same
// (MS-ASCMD §2.2.1.12).
func (p *Phone) Carry() error {
	for len(p.moves) > 0 {
		m := p.moves[0]
		a, err := p.do("MoveItems", bytesOf(wbxml.New(wbxml.MoveMoveItems, wbxml.New(wbxml.MoveMove,
			wbxml.Text(wbxml.MoveSrcMsgId, m.ServerID), wbxml.Text(wbxml.MoveSrcFldId, m.From.ID), wbxml.Text(wbxml.MoveDstFldId, m.To.ID)))))
		if err != nil {
			return err
		}
		said := a.Root.Child(wbxml.MoveResponse)
		switch s := said.Get(wbxml.MoveStatus); s {
		case "3":
			if said.Get(wbxml.MoveDstMsgId) == "" {
				p.Blame("MoveItems: %s", Short(a.Root))
			}
			p.remove(m.From, m.ServerID)
		case "1", "2": // it is gone, or where it was to go is
		case "5", "7":
			return fmt.Errorf("%w: MoveItems status %s", ErrLater, s)
		default:
			p.Blame("MoveItems of %s is answered with %s", m.ServerID, Short(a.Root))
		}
		p.moves = p.moves[1:]
	}
	return nil
}

// Fetch fetches a message whole (MS-ASCMD §2.2.1.10); "" if it is gone.
func (p *Phone) Fetch(f *Folder, serverID string) (string, error) {
	a, err := p.do("ItemOperations", bytesOf(wbxml.New(wbxml.ItemsItemOperations, wbxml.New(wbxml.ItemsFetch,
		wbxml.Text(wbxml.ItemsStore, "Mailbox"), wbxml.Text(wbxml.AirSyncCollectionId, f.ID), wbxml.Text(wbxml.AirSyncServerId, serverID),
		wbxml.New(wbxml.ItemsOptions, wbxml.Text(wbxml.AirSyncMIMESupport, "2"), wbxml.New(wbxml.BaseBodyPreference, wbxml.Text(wbxml.BaseType, "4")))))))
	if err != nil {
		return "", err
	}
	said := a.Root.Child(wbxml.ItemsResponse).Child(wbxml.ItemsFetch)
	switch s := said.Get(wbxml.ItemsStatus); s {
	case "1":
		return said.Child(wbxml.ItemsProperties).Child(wbxml.BaseBody).Get(wbxml.BaseData), nil
	case "6", "8":
		return "", nil
	case "3":
		return "", fmt.Errorf("%w: ItemOperations", ErrLater)
	default:
		return "", fmt.Errorf("ItemOperations: %s", Short(a.Root))
	}
}

// CatchUp does everything that waits and brings all folders into step.
func (p *Phone) CatchUp() (err error) {
	if p.Served == nil {
		if p.Served, err = p.Options(); err != nil {
			return err
		}
	}
	if err := p.FolderSync(); err != nil {
		return err
	}
	for _, do := range []func() error{p.Arrange, p.Carry, p.Send, func() error { return p.Sync(p.Sorted()...) }} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}
