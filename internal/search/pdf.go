package search

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"runtime/debug"
	"strings"
	"time"

	"github.com/ledongthuc/pdf"
)

// Bounds on reading a PDF file. A reader of such files can be made to go round for
// ever or to take all memory, and a goroutine can't be stopped: so it is done in a
// process of its own, which can.
const (
	maxPDFTime   = 10 * time.Second
	maxPDFMemory = 512 << 20
	maxPDFText   = 8 << 20
	maxPDFPages  = 2000
)

// PDFProcess reads PDF files by a program, which gets the file on standard input
// and writes what PDFText writes.
func PDFProcess(name string, args ...string) PDFReader {
	return func(ctx context.Context, w io.Writer, file []byte) error {
		ctx, cancel := context.WithTimeout(ctx, maxPDFTime)
		defer cancel()
		var said bytes.Buffer
		cmd := exec.CommandContext(ctx, name, args...)
		cmd.Env = []string{"GOMAXPROCS=1", fmt.Sprintf("GOMEMLIMIT=%d", maxPDFMemory/2)}
		cmd.Dir = "/"
		cmd.Stdin = bytes.NewReader(file)
		out := &noted{w: w}
		cmd.Stdout = out
		cmd.Stderr = &firstBytes{w: &said, left: 4096}
		cmd.WaitDelay = time.Second
		err := cmd.Run()
		switch {
		case out.err != nil: // what the process died of is that nobody listened
			return out.err
		case ctx.Err() != nil:
			return errors.New("reading it took too long")
		case err != nil && said.Len() > 0:
			line, _, _ := strings.Cut(said.String(), "\n")
			return fmt.Errorf("%w: %s", err, line)
		}
		return err
	}
}

// noted remembers why writing failed.
type noted struct {
	w   io.Writer
	err error
}

func (n *noted) Write(b []byte) (int, error) {
	var m int
	m, n.err = n.w.Write(b)
	return m, n.err
}

// firstBytes keeps the beginning of what is written.
type firstBytes struct {
	w    io.Writer
	left int
}

func (f *firstBytes) Write(b []byte) (int, error) {
	n := min(len(b), f.left)
	f.left -= n
	if _, err := f.w.Write(b[:n]); err != nil {
		return 0, err
	}
	return len(b), nil
}

// PDFText writes the text of the PDF file that is read from in. It is for a process
// of its own, whose memory it bounds.
func PDFText(in io.Reader, out io.Writer) error {
	if err := limitMemory(maxPDFMemory, maxPDFTime); err != nil {
		return err
	}
	debug.SetMaxStack(64 << 20)
	file, err := io.ReadAll(io.LimitReader(in, maxFile))
	if err != nil {
		return err
	}
	w := bufio.NewWriter(&firstBytes{w: out, left: maxPDFText})
	err = safely(func() error { return pdfPages(w, file) })
	return errors.Join(err, w.Flush())
}

// pdfPages writes page by page: one that can't be read costs its own text alone.
func pdfPages(w io.Writer, file []byte) error {
	r, err := pdf.NewReader(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		return err
	}
	var trouble error
	for n := 1; n <= min(r.NumPage(), maxPDFPages); n++ {
		err := safely(func() error {
			text, err := r.Page(n).GetPlainText(nil)
			if err != nil {
				return err
			}
			_, err = io.WriteString(w, text+"\n")
			return err
		})
		if err != nil && trouble == nil {
			trouble = fmt.Errorf("page %d: %w", n, err)
		}
	}
	return trouble
}
