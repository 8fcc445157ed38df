package bench

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// letterSize is the size of one message: what a short mail with its transport
// headers has.
const letterSize = 4096

// letter is one message, made before the clock starts.
type letter struct {
	text  []byte
	flags string // for APPEND
}

// flagMix is spread over loaded messages: most are read, a few are more.
var flagMix = []string{`\Seen`, `\Seen`, `\Seen`, ``, `\Seen \Answered`, `\Seen`, ``, `\Seen \Flagged`, `\Seen`, `\Seen $Forwarded`}

var words = strings.Fields(`the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you
	were her all she there would their we him been has when who will more no if out so said what up its about into than them can only other
	new some could time these two may then do first any my now such like our over man me even most made after also did many before must
	through back years where much your way well down should because each just those people how too little state good very make world still
	own see men work long get here between both life being under never day same another know while last might us great old year off come
	since against go came right used take three meeting invoice minutes agenda draft release budget schedule contract review customer delivery
	attached question answer tomorrow thursday office printer coffee train ticket flight hotel project team server network update branch
	harbour garden window bicycle recipe concert library school teacher weather summer winter letter photograph newsletter subscription`)

// letters makes n distinct messages of letterSize. Equal seeds make equal
// messages, so that both servers get the same.
func letters(n int, seed uint64) []letter {
	rng := rand.New(rand.NewPCG(seed, 4096))
	all := make([]letter, n)
	arena := make([]byte, 0, n*letterSize)
	for i := range all {
		start := len(arena)
		arena = appendLetter(arena, rng, seed, i)
		all[i] = letter{text: arena[start:len(arena):len(arena)], flags: flagMix[i%len(flagMix)]}
	}
	return all
}

// tinyLetters makes n distinct messages of about 200 bytes, for where only their
// number matters.
func tinyLetters(n int, seed uint64) []letter {
	rng := rand.New(rand.NewPCG(seed, 200))
	all := make([]letter, n)
	for i := range all {
		text := fmt.Appendf(nil, "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nFrom: %s <%s@elsewhere.example>\r\nTo: huge@bench.test\r\n", title(rng), pick(rng))
		text = fmt.Appendf(text, "Subject: %s %s\r\nMessage-ID: <%x.%x@elsewhere.example>\r\n\r\n%s\r\n", title(rng), pick(rng), seed, rng.Uint64(), title(rng))
		all[i] = letter{text: text, flags: flagMix[i%len(flagMix)]}
	}
	return all
}

// appendLetter writes one message: transport headers as they come, a signature
// that does not compress, and plain words that do.
func appendLetter(b []byte, rng *rand.Rand, seed uint64, i int) []byte {
	start := len(b)
	date := time.Unix(1_700_000_000+int64(i)*97, 0).UTC().Format(time.RFC1123Z)
	id := fmt.Sprintf("%x.%x.%d", seed, rng.Uint64(), i)
	var signature [192]byte
	for j := range signature {
		signature[j] = byte(rng.Uint32())
	}
	b = fmt.Appendf(b, "Received: from mx%d.elsewhere.example (mx%d.elsewhere.example [192.0.2.%d])\r\n\tby mail.bench.test with ESMTPS id %x;\r\n\t%s\r\n", i%7, i%7, i%250, rng.Uint32(), date)
	b = fmt.Appendf(b, "Received: by mx%d.elsewhere.example (queue) id %x; %s\r\n", i%7, rng.Uint32(), date)
	b = append(b, "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=elsewhere.example; s=s1;\r\n\th=from:to:subject:date:message-id; b="...)
	for text := base64.StdEncoding.EncodeToString(signature[:]); text != ""; {
		n := min(len(text), 68)
		b = append(append(b, "\r\n\t"...), text[:n]...)
		text = text[n:]
	}
	b = fmt.Appendf(b, "\r\nDate: %s\r\nFrom: %s %s <%s.%s@elsewhere.example>\r\n", date, title(rng), title(rng), pick(rng), pick(rng))
	b = fmt.Appendf(b, "To: %s %s <%s@bench.test>, %s <%s@another.example>\r\n", title(rng), title(rng), pick(rng), title(rng), pick(rng))
	b = fmt.Appendf(b, "Subject: %s %s %s %s %d\r\nMessage-ID: <%s@elsewhere.example>\r\n", title(rng), pick(rng), pick(rng), pick(rng), rng.IntN(10000), id)
	if i%3 == 0 {
		b = fmt.Appendf(b, "In-Reply-To: <%x@bench.test>\r\nReferences: <%x@bench.test>\r\n", rng.Uint64(), rng.Uint64())
	}
	b = append(b, "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 7bit\r\nUser-Agent: bench\r\n\r\n"...)
	return appendProse(b, rng, start+letterSize)
}

// appendProse fills b with lines of words up to exactly end.
func appendProse(b []byte, rng *rand.Rand, end int) []byte {
	column := 0
	for len(b) < end-2 {
		w := pick(rng)
		if column+len(w) > 70 {
			b, column = append(b, '\r', '\n'), 0
		} else if column > 0 {
			b, column = append(b, ' '), column+1
		}
		b, column = append(b, w...), column+len(w)
	}
	b = b[:end-2]
	if b[len(b)-1] == '\r' { // the cut went through a line's end
		b[len(b)-1] = '!'
	}
	return append(b, '\r', '\n')
}

func pick(rng *rand.Rand) string { return words[rng.IntN(len(words))] }

func title(rng *rand.Rand) string {
	w := pick(rng)
	return strings.ToUpper(w[:1]) + w[1:]
}
