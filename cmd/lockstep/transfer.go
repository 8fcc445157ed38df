package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"lockstep/internal/admin"
	"lockstep/internal/mail"
	"lockstep/internal/mailfile"
)

type importCommand struct {
	Login string   `arg:"" help:"The account."`
	Paths []string `arg:"" help:"mbox files, Maildirs, or - for an mbox on standard input."`
	Into  string   `help:"Mailbox that gets the messages, or under which a Maildir's mailboxes go. Default: INBOX, and a Maildir's own names." placeholder:"MAILBOX"`
}

// Help is printed under the command's --help.
func (importCommand) Help() string {
	return `Import again what was imported, or what a crash cut short, and only what is missing comes in:
for 30 days an imported message is known by its bytes and its mailbox, also when it was deleted since.`
}

func (i *importCommand) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		p := newProgress("imported")
		sum, err := c.Import(ctx, i.Login, func(put func(admin.Item) error) error {
			for _, path := range i.Paths {
				if err := i.read(path, p, put); err != nil {
					return fmt.Errorf("%s: %w", path, err)
				}
			}
			return nil
		}, func(now admin.Imported) { p.show(now.Messages()) })
		p.end()
		for _, r := range sum.Refused {
			fmt.Fprintln(os.Stderr, "Not imported:", strings.Map(printable, r))
		}
		if err != nil {
			return fmt.Errorf("%w (%s in so far; run the same command again to go on)", err, inWords(sum.New+sum.Known, "message"))
		}
		fmt.Printf("Imported %s; already there: %d; could not be taken: %d.\n", inWords(sum.New, "message"), sum.Known, sum.Failed)
		return nil
	})
}

func (i *importCommand) read(path string, p *progress, put func(admin.Item) error) error {
	give := func(msg io.Reader, m mailfile.Meta) error {
		return put(admin.Item{Mailbox: i.mailbox(m.Mailbox), Flags: m.Flags.Names(), Date: m.Received, Body: p.count(msg)})
	}
	if path == "-" {
		return mailfile.ReadMbox(os.Stdin, give)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return mailfile.ReadMaildir(path, give)
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return mailfile.ReadMbox(f, give)
}

// mailbox is where a message of a file's mailbox goes.
func (i *importCommand) mailbox(of string) string {
	switch {
	case of == "" && i.Into == "":
		return "INBOX"
	case of == "":
		return i.Into
	case i.Into == "":
		return of
	}
	return i.Into + mail.Delimiter + of
}

type exportCommand struct {
	Login   string   `arg:"" help:"The account."`
	Dir     string   `arg:"" help:"Directory to write to; made if it is not there."`
	Format  string   `help:"maildir: one Maildir with all mailboxes. mbox: a file for each mailbox." enum:"maildir,mbox" default:"maildir"`
	Mailbox []string `help:"Only these mailboxes." placeholder:"PATH"`
}

// Help is printed under the command's --help.
func (exportCommand) Help() string {
	return `Export again into the same directory, and only what is missing is written: messages in a Maildir,
whole mailboxes as mbox files.`
}

func (e *exportCommand) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		mailboxes, err := e.mailboxes(ctx, c)
		if err != nil {
			return err
		}
		x := &export{e: e, c: c, progress: newProgress("exported")}
		if e.Format == "maildir" {
			if x.maildir, err = mailfile.NewMaildirWriter(e.Dir); err != nil {
				return err
			}
		}
		for _, path := range mailboxes {
			if err := x.mailbox(ctx, path); err != nil {
				x.progress.end()
				return fmt.Errorf("%s: %w (run the same command again to go on)", path, err)
			}
		}
		x.progress.end()
		fmt.Printf("Exported %s of %s to %s.\n", inWords(x.messages, "message"), inWords(len(mailboxes), "mailbox"), e.Dir)
		return nil
	})
}

func (e *exportCommand) mailboxes(ctx context.Context, c *admin.Client) ([]string, error) {
	if len(e.Mailbox) > 0 {
		return e.Mailbox, nil
	}
	rows, err := admin.MailboxList.All(ctx, c, admin.OfAccount{Login: e.Login})
	var paths []string
	for _, r := range rows {
		paths = append(paths, r.Path)
	}
	return paths, err
}

// export is one run of the command.
type export struct {
	e        *exportCommand
	c        *admin.Client
	maildir  *mailfile.MaildirWriter
	progress *progress
	messages int
}

func (x *export) mailbox(ctx context.Context, path string) error {
	if x.maildir == nil {
		return x.mbox(ctx, path)
	}
	if err := x.maildir.Mailbox(path); err != nil {
		return err
	}
	return x.each(ctx, path, x.maildir.Write)
}

// each writes the messages of a mailbox.
func (x *export) each(ctx context.Context, path string, write func(io.Reader, mailfile.Meta) error) error {
	q := admin.OfMailbox{Login: x.e.Login, Path: path}
	return admin.MessageList.Each(ctx, x.c, q, func(l admin.Listed) error {
		flags, err := mail.NewFlags(l.Flags...)
		if err != nil {
			return err
		}
		body := &lazyBody{open: func() (io.ReadCloser, error) { return x.c.Message(ctx, x.e.Login, path, l.UID) }}
		defer body.close()
		meta := mailfile.Meta{Mailbox: path, Flags: flags, Received: l.Date, Name: fmt.Sprintf("%d.U%010d.%s", l.Date.Unix(), l.UID, l.Name)}
		err = write(x.progress.count(body), meta)
		if mail.KindOf(err) == mail.NotFound && err != nil {
			return nil // expunged since it was listed
		}
		if err == nil {
			x.messages++
			x.progress.show(x.messages)
		}
		return err
	})
}

// mbox writes a mailbox to its file, which gets its name when it is whole.
func (x *export) mbox(ctx context.Context, path string) error {
	name := filepath.Join(x.e.Dir, mboxName(path))
	if _, err := os.Stat(name); err == nil {
		fmt.Fprintf(os.Stderr, "%s is there already; remove it to have it written again.\n", name)
		return nil
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(name+".partial", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	w := mailfile.NewMboxWriter(f)
	err = x.each(ctx, path, w.Write)
	if err == nil {
		err = errors.Join(w.Flush(), f.Sync())
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(name+".partial", name)
}

// mboxName is the file of a mailbox: directories for those above it. No name
// leads out of the directory.
func mboxName(path string) string {
	names := strings.Split(path, mail.Delimiter)
	for i, n := range names {
		if strings.HasPrefix(n, ".") {
			names[i] = "%2E" + n[1:]
		}
	}
	return filepath.Join(names...) + ".mbox"
}

// lazyBody opens a message when it is read: one that is there already never is.
type lazyBody struct {
	open func() (io.ReadCloser, error)
	r    io.ReadCloser
}

func (b *lazyBody) Read(p []byte) (int, error) {
	if b.r == nil {
		r, err := b.open()
		if err != nil {
			return 0, err
		}
		b.r = r
	}
	return b.r.Read(p)
}

func (b *lazyBody) close() {
	if b.r != nil {
		b.r.Close()
	}
}

// progress shows how far a transfer got: on a terminal in place, else a line now
// and then.
type progress struct {
	word     string
	w        *bufio.Writer
	terminal bool
	bytes    atomic.Int64
	last     time.Time
}

func newProgress(word string) *progress {
	return &progress{word: word, w: bufio.NewWriter(os.Stderr), terminal: isTerminal(os.Stderr), last: time.Now()}
}

// count counts the bytes read of r.
func (p *progress) count(r io.Reader) io.Reader { return &countingReader{r, p} }

type countingReader struct {
	r io.Reader
	p *progress
}

func (c *countingReader) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.p.bytes.Add(int64(n))
	return n, err
}

func (p *progress) show(messages int) {
	every, before, after := 10*time.Second, "", "\n"
	if p.terminal {
		every, before, after = 200*time.Millisecond, "\r", "\x1b[K"
	}
	if time.Since(p.last) < every {
		return
	}
	p.last = time.Now()
	fmt.Fprintf(p.w, "%s%s %s, %s read%s", before, inWords(messages, "message"), p.word, bytesText(p.bytes.Load()), after)
	_ = p.w.Flush() // only for people
}

func (p *progress) end() {
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K")
		_ = p.w.Flush()
	}
}
