package imap

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lockstep/internal/mail"
)

// FuzzSession sends whatever to a session that is signed in. It must answer or
// hang up, and no bug of ours may show.
func FuzzSession(f *testing.F) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		_, scenes := cutScenes(strings.Split(string(text), "\n"))
		for _, lines := range scenes {
			var said strings.Builder
			for _, l := range lines {
				if text, ok := strings.CutPrefix(l, "C1: "); ok {
					said.WriteString(text + "\r\n")
				}
			}
			f.Add([]byte(said.String()))
		}
	}
	h := newHouse(f, func(s *Server) {
		s.Limits = Limits{Message: 1 << 10, Messages: 3, Stall: 5 * time.Second, Idle: 5 * time.Second}
		s.Limits.Wire.Skip = 1 << 12
	})
	h.server.init()
	h.put("INBOX", "From: a@b.example\r\nSubject: seed\r\n\r\nbody\r\n", mail.Flags{}, 1, 0)
	f.Fuzz(func(t *testing.T, input []byte) {
		client, server := net.Pipe()
		defer client.Close()
		var set sessionSet
		h.server.door.Enter(mail.AddrOf(server), 1, 1)
		s := newSession(context.Background(), h.server, &set, server, mail.AddrOf(server), false)
		set.add(s)
		var said bytes.Buffer
		done := make(chan struct{})
		go func() {
			defer close(done)
			io.Copy(&said, client)
		}()
		go s.greet()
		client.SetWriteDeadline(time.Now().Add(10 * time.Second))
		io.WriteString(client, "login LOGIN "+testLogin+` "`+testPassword+"\"\r\nselect SELECT INBOX\r\n")
		client.Write(input)
		client.Close()
		set.wait()
		<-done
		if strings.Contains(said.String(), "SERVERBUG") {
			t.Errorf("%q\n%s", input, said.String())
		}
	})
}
