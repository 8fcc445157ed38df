package mailfile

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"lockstep/internal/mail"
)

// keywordFile is where Dovecot keeps the names of the letters a to z.
const keywordFile = "dovecot-keywords"

const maxLetters = 26

// infoFlags are the letters of a Maildir file name.
var infoFlags = []struct {
	letter byte
	flag   string
}{{'D', `\Draft`}, {'F', `\Flagged`}, {'P', "$Forwarded"}, {'R', `\Answered`}, {'S', `\Seen`}, {'T', `\Deleted`}}

// ReadMaildir calls fn with each message of a Maildir and of the mailboxes below
// it, whether they are named as in Maildir++ (".Work.Plans") or are directories
// within directories. Mailboxes come in the order of their paths, the inbox
// first, and messages in that of their names, which is that of their arrival.
// What fn leaves unread is passed over; an error of fn ends the reading and is
// returned. A directory that is no Maildir is Invalid.
func ReadMaildir(dir string, fn func(msg io.Reader, m Meta) error) error {
	boxes, err := findMaildirs(dir)
	if err != nil {
		return err
	}
	if len(boxes) == 0 {
		return mail.Errorf(mail.Invalid, "%s is no Maildir", filepath.Base(dir))
	}
	slices.SortFunc(boxes, func(a, b maildirBox) int { return strings.Compare(a.path, b.path) })
	for _, b := range boxes {
		if err := b.read(fn); err != nil {
			return err
		}
	}
	return nil
}

type maildirBox struct{ dir, path string }

func isMaildir(dir string) bool {
	st, err := os.Stat(filepath.Join(dir, "cur"))
	return err == nil && st.IsDir()
}

// findMaildirs finds the Maildirs at and below root.
func findMaildirs(root string) ([]maildirBox, error) {
	var boxes []maildirBox
	if isMaildir(root) {
		boxes = append(boxes, maildirBox{root, ""})
	}
	below, err := nested(root, "", 1)
	return append(boxes, below...), err
}

func nested(dir, path string, depth int) ([]maildirBox, error) {
	entries, err := os.ReadDir(dir)
	if err != nil || depth > mail.MaxMailboxDepth {
		return nil, err
	}
	var boxes []maildirBox
	for _, e := range entries {
		name := e.Name()
		if !e.IsDir() || name == "cur" || name == "new" || name == "tmp" {
			continue
		}
		child, below := filepath.Join(dir, name), ""
		if dotted, ok := strings.CutPrefix(name, "."); ok {
			below = joinPath(path, dottedPath(dotted))
		} else {
			below = joinPath(path, decodeName(name))
		}
		if isMaildir(child) {
			boxes = append(boxes, maildirBox{child, below})
		}
		more, err := nested(child, below, depth+1)
		if err != nil {
			return nil, err
		}
		boxes = append(boxes, more...)
	}
	return boxes, nil
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + mail.Delimiter + name
}

// dottedPath reads the name of a Maildir++ directory.
func dottedPath(dotted string) string {
	parts := strings.Split(dotted, ".")
	for i := range parts {
		parts[i] = strings.ReplaceAll(decodeName(parts[i]), mail.Delimiter, "_")
	}
	return strings.Join(parts, mail.Delimiter)
}

type maildirFile struct{ sub, name string }

// read calls fn with the messages of one mailbox.
func (b maildirBox) read(fn func(io.Reader, Meta) error) error {
	var files []maildirFile
	for _, sub := range []string{"new", "cur"} {
		d, err := os.Open(filepath.Join(b.dir, sub))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		names, err := d.Readdirnames(-1)
		d.Close()
		if err != nil {
			return err
		}
		for _, n := range names {
			if !strings.HasPrefix(n, ".") {
				files = append(files, maildirFile{sub, n})
			}
		}
	}
	slices.SortFunc(files, compareArrival)
	letters := readLetters(b.dir)
	for _, f := range files {
		if err := b.readFile(f, letters, fn); err != nil {
			return err
		}
	}
	return nil
}

// compareArrival orders by the time a name begins with, then by name.
func compareArrival(a, b maildirFile) int {
	if x, y := nameTime(a.name), nameTime(b.name); x != y {
		return int(max(min(x-y, 1), -1))
	}
	return strings.Compare(a.name, b.name)
}

func nameTime(name string) int64 {
	text, _, _ := strings.Cut(name, ".")
	n, err := strconv.ParseInt(text, 10, 48)
	if err != nil {
		return 0
	}
	return n
}

func (b maildirBox) readFile(f maildirFile, letters []string, fn func(io.Reader, Meta) error) error {
	r, err := os.Open(filepath.Join(b.dir, f.sub, f.name))
	if errors.Is(err, fs.ErrNotExist) { // a program moved it while we were reading
		return nil
	}
	if err != nil {
		return err
	}
	defer r.Close()
	st, err := r.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return nil
	}
	name, info, _ := cutInfo(f.name)
	return fn(newCRLFReader(r), Meta{Mailbox: b.path, Flags: readInfo(info, letters), Received: st.ModTime().UTC(), Name: name})
}

// cutInfo divides a file name at its info; some file systems have ; or ! for the
// colon.
func cutInfo(file string) (name, info string, ok bool) {
	for _, mark := range []string{":2,", ";2,", "!2,"} {
		if name, info, ok := strings.Cut(file, mark); ok {
			return name, info, true
		}
	}
	return file, "", false
}

func readInfo(info string, letters []string) mail.Flags {
	var words flagWords
	for i := range len(info) {
		c := info[i]
		if k := int(c) - 'a'; k >= 0 && k < len(letters) && letters[k] != "" {
			words.names = append(words.names, letters[k])
		}
		for _, f := range infoFlags {
			if f.letter == c {
				words.names = append(words.names, f.flag)
			}
		}
	}
	return words.flags()
}

// readLetters reads which keyword each letter stands for.
func readLetters(dir string) []string {
	f, err := os.Open(filepath.Join(dir, keywordFile))
	if err != nil {
		return nil
	}
	defer f.Close()
	letters := make([]string, maxLetters)
	lines := bufio.NewScanner(io.LimitReader(f, maxLetters*(mail.MaxKeywordBytes+8)))
	for lines.Scan() {
		number, word, _ := strings.Cut(lines.Text(), " ")
		if n, err := strconv.Atoi(number); err == nil && n >= 0 && n < maxLetters {
			letters[n] = word
		}
	}
	return letters
}

// MaildirWriter writes a Maildir++. Used by one goroutine.
type MaildirWriter struct {
	dir     string
	host    string
	count   int
	letters map[string][]string        // of each mailbox
	there   map[string]map[string]bool // names in each mailbox's cur
}

// NewMaildirWriter returns a writer into dir, which is made if it is not there.
func NewMaildirWriter(dir string) (*MaildirWriter, error) {
	w := &MaildirWriter{dir: dir, letters: map[string][]string{}, there: map[string]map[string]bool{}}
	w.host, _ = os.Hostname()
	if w.host == "" {
		w.host = "localhost"
	}
	w.host = strings.NewReplacer("/", `\057`, ":", `\072`).Replace(w.host)
	return w, w.Mailbox("")
}

func (w *MaildirWriter) boxDir(path string) string {
	if path == "" || strings.EqualFold(path, "INBOX") {
		return w.dir
	}
	names := strings.Split(path, mail.Delimiter)
	for i := range names {
		names[i] = encodeName(names[i])
	}
	return filepath.Join(w.dir, "."+strings.Join(names, "."))
}

// Mailbox makes a mailbox, if it is not there.
func (w *MaildirWriter) Mailbox(path string) error {
	dir := w.boxDir(path)
	if w.there[dir] != nil {
		return nil
	}
	for _, sub := range []string{"tmp", "new", "cur"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o700); err != nil {
			return err
		}
	}
	if dir != w.dir {
		if err := os.WriteFile(filepath.Join(dir, "maildirfolder"), nil, 0o600); err != nil {
			return err
		}
	}
	names := map[string]bool{}
	entries, err := os.ReadDir(filepath.Join(dir, "cur"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		name, _, _ := cutInfo(e.Name())
		names[name] = true
	}
	w.there[dir], w.letters[dir] = names, readLetters(dir)
	return nil
}

// Write adds a message to the mailbox m names. It is not synced to disk one by
// one: an export that a crash cut short is taken up again by m.Name.
func (w *MaildirWriter) Write(msg io.Reader, m Meta) error {
	if err := w.Mailbox(m.Mailbox); err != nil {
		return err
	}
	dir := w.boxDir(m.Mailbox)
	name := strings.NewReplacer("/", "_", ":", "_", "\x00", "_").Replace(strings.TrimLeft(m.Name, "."))
	if name == "" {
		w.count++
		name = fmt.Sprintf("%d.M%dP%dQ%d.%s", m.Received.Unix(), time.Now().Nanosecond()/1000, os.Getpid(), w.count, w.host)
	}
	if w.there[dir][name] {
		return nil
	}
	info, err := w.info(dir, m.Flags)
	if err != nil {
		return err
	}
	if err := writeMaildirFile(dir, name, info, msg, m.Received); err != nil {
		return err
	}
	w.there[dir][name] = true
	return nil
}

func writeMaildirFile(dir, name, info string, msg io.Reader, at time.Time) (err error) {
	tmp := filepath.Join(dir, "tmp", name)
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp)
		}
	}()
	_, err = io.Copy(f, newLFReader(msg))
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if !at.IsZero() {
		if err := os.Chtimes(tmp, at, at); err != nil {
			return err
		}
	}
	return os.Rename(tmp, filepath.Join(dir, "cur", name+":2,"+info))
}

// info writes the flags as letters, in the order of the alphabet. Keywords beyond
// the 26 a mailbox can name are left out.
func (w *MaildirWriter) info(dir string, f mail.Flags) (string, error) {
	var letters []byte
	names := f.Names()
	for _, i := range infoFlags {
		if slices.Contains(names, i.flag) {
			letters = append(letters, i.letter)
		}
	}
	for _, word := range f.Keywords() {
		if word == "$Forwarded" {
			continue
		}
		c, err := w.letter(dir, word)
		if err != nil {
			return "", err
		}
		if c != 0 {
			letters = append(letters, c)
		}
	}
	slices.Sort(letters)
	return string(letters), nil
}

// letter finds the letter of a keyword, or gives it one; 0 when there is none
// left.
func (w *MaildirWriter) letter(dir, word string) (byte, error) {
	letters := w.letters[dir]
	if letters == nil {
		letters = make([]string, maxLetters)
		w.letters[dir] = letters
	}
	for i, l := range letters {
		if strings.EqualFold(l, word) {
			return 'a' + byte(i), nil
		}
	}
	free := slices.Index(letters, "")
	if free < 0 {
		return 0, nil
	}
	letters[free] = word
	var text []byte
	for i, l := range letters {
		if l != "" {
			text = fmt.Appendf(text, "%d %s\n", i, l)
		}
	}
	return 'a' + byte(free), os.WriteFile(filepath.Join(dir, keywordFile), text, 0o600)
}
