package search

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"lockstep/internal/store/sqlstore/sqltest"
)

var benchWords = strings.Fields(`the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you
	were her all she there would their we him been has when who will more no if out so said what up its about into than them can only other
	new some could time these two may then do first any my now such like our over man me even most made after also did many before must
	meeting invoice minutes agenda draft release budget schedule contract review customer delivery attached question answer tomorrow thursday`)

// benchLetter is a message of 4 KiB like those of package bench: transport headers,
// a signature, prose; one in a thousand says "xylophone".
func benchLetter(r *rand.Rand, i int) string {
	signature := make([]byte, 192)
	for j := range signature {
		signature[j] = byte(r.Uint32())
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Received: from mx%d.elsewhere.example (mx%d.elsewhere.example [192.0.2.%d])\r\n\tby mail.bench.test with ESMTPS id %x;\r\n\tMon, 2 Feb 2026 10:00:00 +0000\r\n", i%7, i%7, i%250, r.Uint32())
	fmt.Fprintf(&b, "DKIM-Signature: v=1; a=rsa-sha256; d=elsewhere.example; s=s1; b=%s\r\n", base64.StdEncoding.EncodeToString(signature))
	word := func() string { return benchWords[r.IntN(len(benchWords))] }
	fmt.Fprintf(&b, "From: %s %s <%s.%s@elsewhere.example>\r\nTo: %s@bench.test\r\nSubject: %s %s %s %d\r\nMessage-ID: <%x.%d@elsewhere.example>\r\n\r\n",
		word(), word(), word(), word(), word(), word(), word(), word(), r.IntN(10000), r.Uint64(), i)
	if i%1000 == 7 {
		b.WriteString("the xylophone\r\n")
	}
	for b.Len() < 4096 {
		b.WriteString(word() + " ")
		if r.IntN(10) == 0 {
			b.WriteString("\r\n")
		}
	}
	return b.String()
}

func rng() *rand.Rand { return rand.New(rand.NewPCG(3, 4)) }

func (h *house) fill(n int) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < n; {
		var some []string
		for ; i < n && len(some) < 1000; i++ {
			some = append(some, benchLetter(r, i))
		}
		h.put(some...)
	}
}

// BenchmarkIndexing takes 4 KiB messages in, and says what they take on disk.
func BenchmarkIndexing(b *testing.B) {
	h := newHouse(b)
	const n = 2000
	h.fill(n)
	for b.Loop() {
		h.x.discard(b.Context(), h.account)
		h.settle()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/message")
	h.x.Close()
	b.ReportMetric(float64(h.status().Bytes)/n, "B/message")
}

// BenchmarkExact asks about all of 10 000 messages.
func BenchmarkExact(b *testing.B) {
	h := newHouse(b)
	h.fill(10_000)
	h.settle()
	keys := h.all()
	for _, needle := range []string{"xylophone", "meeting", "eeting", "meeting the", "zz"} {
		b.Run(strings.ReplaceAll(needle, " ", "_")+"/10k", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := h.ask(Text, needle, keys); len(got) != len(keys) {
					b.Fatalf("%d of %d decided", len(got), len(keys))
				}
			}
		})
	}
}

// BenchmarkPeople looks for words, rows of words and beginnings in 10 000 messages.
func BenchmarkPeople(b *testing.B) {
	h := newHouse(b)
	h.fill(10_000)
	h.settle()
	for _, text := range []string{"xylophone", "meeting", "from:meeting invoice", `"meeting the"`, "meet*", "me* -the"} {
		b.Run(strings.NewReplacer(" ", "_", `"`, "'").Replace(text)+"/10k", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.x.People(b.Context(), h.account, ParseQuery(text), 100); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkShared takes 4 KiB messages in where nodes share the index, and says what
// they take in the log.
func BenchmarkShared(b *testing.B) {
	if !onPostgres() {
		b.Skip("run it with " + sqltest.Engine + "=postgres")
	}
	h := newHouse(b)
	const n = 2000
	h.fill(n)
	c, err := h.db.Dial(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close(context.Background())
	ask := func(sql string) (n int64) {
		r := c.ExecParams(b.Context(), sql, nil, nil, nil, nil).Read()
		if r.Err != nil {
			b.Fatal(r.Err)
		}
		fmt.Sscan(string(r.Rows[0][0]), &n)
		return n
	}
	const wal = "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint"
	logged := int64(0)
	for b.Loop() {
		b.StopTimer()
		if err := h.x.discard(b.Context(), h.account); err != nil {
			b.Fatal(err)
		}
		before := ask(wal)
		b.StartTimer()
		h.settle()
		logged += ask(wal) - before
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*n), "µs/message")
	b.ReportMetric(float64(logged)/float64(b.N*n), "wal-B/message")
	kept := ask("SELECT (SELECT sum(octet_length(sealed)) FROM search_text) + (SELECT sum(octet_length(data) + octet_length(first)) FROM search_block)")
	b.ReportMetric(float64(kept)/n, "kept-B/message")
}
