package main

import (
	"context"
	"fmt"
	"os"

	"lockstep/internal/admin"
	"lockstep/internal/search"
)

type searchCommand struct {
	Status  searchStatus  `cmd:"" help:"Say how the search indexes stand."`
	Rebuild searchRebuild `cmd:"" help:"Make the search index anew, of an account or of all."`
}

type searchStatus struct {
	Login string `arg:"" optional:"" help:"The account. Default: all."`
}

func (s *searchStatus) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		t := newTable("ACCOUNT", "INDEX", "MESSAGES", "SIZE", "UNREAD", "PARTLY READ")
		err := admin.SearchStatus.Each(ctx, c, admin.OfAccount{Login: s.Login}, func(r admin.Indexed) error {
			t.row(r.Login, r.State, r.Messages, sizeOf(r), r.Unread, r.Partly)
			return nil
		})
		if err != nil {
			return err
		}
		return t.print(os.Stdout)
	})
}

// sizeOf is what an index takes; of one in the database that nodes share it is not
// told, as that would be to read all of it.
func sizeOf(r admin.Indexed) string {
	if r.Bytes == 0 {
		return "-"
	}
	return bytesText(r.Bytes)
}

type searchRebuild struct {
	Login string `arg:"" optional:"" help:"The account. Default: all."`
}

// Help is what --help says below the flags.
func (*searchRebuild) Help() string {
	return "Nothing is lost with an index: it is made of the mail. While it is being made every search still answers exactly, but takes as long as reading the mail. The server may run or not."
}

func (s *searchRebuild) Run(ctx context.Context, g *globals) error {
	return g.with(ctx, func(c *admin.Client) error {
		return admin.SearchRebuild.Each(ctx, c, admin.OfAccount{Login: s.Login}, func(r admin.Indexed) error {
			if r.Done {
				fmt.Printf("%s: done, %s, %s\n", r.Login, inWords(r.Messages, "message"), sizeOf(r))
			} else if isTerminal(os.Stdout) {
				fmt.Printf("%s: %d messages\r", r.Login, r.Messages)
			}
			return nil
		})
	})
}

// pdfTextCommand is how the server reads a PDF file: in a process that it can end.
type pdfTextCommand struct{}

// pdfTextName is what main calls it.
const pdfTextName = "pdf-text"

func (pdfTextCommand) Run() error { return search.PDFText(os.Stdin, os.Stdout) }

// pdfReader reads PDF files by this program.
func pdfReader() (search.PDFReader, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return search.PDFProcess(self, pdfTextName), nil
}
