package demo

import (
	"fmt"
	"strings"
	"time"
)

// topic is a conversation: what it is about and what people say in turn.
type topic struct {
	subject string
	mailbox string
	says    []string
}

var projectTopics = []topic{
	{"Lamp room: which glass?", "Projects/Lighthouse", []string{
		"The old panes are scratched beyond polishing. Two suppliers can cut to size; one has delivery in nine days, the other in three weeks but with the edges ground.",
		"Ground edges, please. We paid for that mistake last time.",
		"Agreed. I can store them in the boat house until the frames are painted.",
		"Ordered. They want somebody to sign at the pier, not at the gate.",
		"I'll be there anyway on the tide."}},
	{"Fog signal test on Thursday", "Projects/Lighthouse", []string{
		"We would like to sound the signal for ten minutes, starting at eleven. Neighbours have been told.",
		"Does it have to be eleven? The school has an exam until half past.",
		"Half past it is. Sheet with times attached to the door.",
		"It was louder than I remembered."}},
	{"Draft of the visitors' leaflet", "Projects/Lighthouse", []string{
		"First draft is in the shared folder. It is too long; cut without mercy.",
		"I took out the paragraph on lenses and moved the opening times to the front.",
		"The paragraph on lenses was the only good one!",
		"Then it goes on the back, where there is room for a drawing.",
		"With a drawing I am in favour of everything.",
		"Sent to the printer. 500 copies, folded."}},
	{"Berths for the winter", "Projects/Harbour", []string{
		"We have eleven boats and nine berths. Suggestions welcome.",
		"Two of them could lie outside the others if the owners agree.",
		"One of the two is mine and I agree.",
		"Then only one more has to be persuaded. I'll bring cake."}},
	{"Crane inspection", "Projects/Harbour", []string{
		"The inspector comes on the 14th. Somebody has to move the pallets.",
		"Pallets are moved. The gate code has changed, see the board.",
		"Passed, with two remarks: a new rope and a sign. Both by spring."}},
	{"Timetable of the small ferry", "Projects/Harbour", []string{
		"The small ferry will run every forty minutes from May. Is the 7:10 early enough for the bakery?",
		"The bakery says 6:50 or they'd need a bicycle.",
		"6:50 then. The crew is fine with it as long as there are rolls.",
		"There will be rolls."}},
	{"Dome motor makes a noise again", "Projects/Observatory", []string{
		"The dome stops at 140° and then jumps. It did this before the new belt as well.",
		"Have you looked at the limit switch? Spiders like it in there.",
		"It was a spider.",
		"Closing this as solved, with respect for the spider."}},
	{"Open night in November", "Projects/Observatory", []string{
		"Forecast says clear. Shall we open for visitors on Saturday?",
		"Yes, but only with a list. Last time there were ninety people on the stairs.",
		"List is open, 40 places.",
		"Full after an hour. I added a second round at ten.",
		"Second round is full, too."}},
	{"Backup of the plate archive", "Projects/Observatory", []string{
		"The scans are 1.2 TB by now and lie on one disk. I do not sleep well.",
		"We can put a second copy at the workshop, they have room and a dry cellar.",
		"Copy finished, all checksums agree. I sleep well."}},
}

// projects are long threads between colleagues, with answers out of order and a
// copy of what Alice wrote herself in Sent.
func (w *writer) projects() {
	for round := range 3 {
		for _, t := range projectTopics {
			w.thread(t, round)
		}
	}
}

func (w *writer) thread(t topic, round int) {
	date := w.ago(time.Duration(20+25*round) * 24 * time.Hour)
	first := pick(w.rng, colleagues)
	subject := t.subject
	if round > 0 {
		subject = fmt.Sprintf("%s (part %d)", t.subject, round+1)
	}
	var said []letter
	for i, line := range t.says {
		if date.After(w.now) {
			break
		}
		l := letter{from: first, to: alice, subject: subject, date: date, text: line}
		if i > 0 {
			l.from, l.subject = pick(w.rng, colleagues), ""
			earlier := said[max(0, len(said)-1-w.rng.IntN(2))]
			l = l.replyTo(earlier)
			l.text = line + "\n\n" + quote(earlier)
		}
		if i > 0 && w.rng.IntN(3) == 0 {
			l.from, l.to, l.cc = alice, first, pick(w.rng, colleagues)
		}
		l.text += "\n\n" + l.from.first() + "\n"
		if w.rng.IntN(4) == 0 {
			l.html = asHTML(l.text)
		}
		mailbox := t.mailbox
		switch {
		case l.from == alice:
			mailbox = "Sent"
		case w.now.Sub(date) < 4*24*time.Hour:
			mailbox = "INBOX"
		}
		said = append(said, w.put(Alice, mailbox, l))
		date = date.Add(time.Duration(10+w.rng.IntN(1400)) * time.Minute)
	}
}

// quote is what a mail program puts under an answer.
func quote(l letter) string {
	own, _, _ := strings.Cut(l.text, "\n\n")
	return fmt.Sprintf("On %s, %s wrote:\n> %s", l.date.Format("2 January 2006 at 15:04"), l.from.name, strings.Join(wrap(own, 70), "\n> "))
}

func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if len(line)+len(word) > width {
			lines, line = append(lines, line), ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}

func asHTML(text string) string {
	var b strings.Builder
	b.WriteString("<html><body>\n")
	for para := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		para = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", "\n", "<br>\n").Replace(para)
		fmt.Fprintf(&b, "<p>%s</p>\n", para)
	}
	b.WriteString("</body></html>\n")
	return b.String()
}

var everydayTopics = []topic{
	{"Sunday lunch", "", []string{"Are you coming on Sunday? There is far too much soup as always.", "Of course. I bring bread.", "And Bob?", "And Bob."}},
	{"Keys", "", []string{"I think my keys are at your place. Green tag.", "Found them under the newspaper. Shall I post them?", "No need, I come by tomorrow around six."}},
	{"Allotment: water", "", []string{"The tap is turned off from the first frost on. Please empty the barrels.", "Barrels are empty, and I covered the figs."}},
	{"Bicycle", "", []string{"The rear wheel is true again and the bell works. It had honey in it?", "Long story. What do I owe you?", "A jar of the honey."}},
	{"Choir", "", []string{"We sing the slow one on Wednesday. Page 41, and please with consonants.", "I will practise them in the tram."}},
	{"Book for the train", "", []string{"Have you finished the one about the lighthouse keepers? I'd take it along.", "Two chapters left. Do not tell me who lit the lamp.", "Nobody lit the lamp. That is the point."}},
	{"Photos", "", []string{"The photos from the island are up. You look windswept.", "We *were* windswept."}},
	{"Chess by mail", "", []string{"1. e4", "1... e5", "2. Nf3", "2... Nc6", "3. Bb5 — and I have read all about it this time.", "3... a6 :)"}},
}

// everyday is what family and friends write, in Alice's mail and in Bob's.
func (w *writer) everyday() {
	friends := []person{mum, theo, sam, bob}
	for range 2 {
		for _, t := range everydayTopics {
			w.chat(Alice, alice, pick(w.rng, friends), t)
		}
	}
	for _, t := range everydayTopics {
		w.chat(Bob, bob, pick(w.rng, []person{alice, sam, theo}), t)
	}
}

// chat alternates between two people; what the owner wrote lies in Sent.
func (w *writer) chat(login string, owner, other person, t topic) {
	date := w.ago(60 * 24 * time.Hour)
	var last letter
	for i, line := range t.says {
		if date.After(w.now) {
			return
		}
		l := letter{from: other, to: owner, subject: t.subject, date: date, text: line + "\n"}
		mailbox := "INBOX"
		if i%2 == 1 {
			l.from, l.to, mailbox = owner, other, "Sent"
		}
		if i > 0 {
			l.subject = ""
			l = l.replyTo(last)
			l.text += "\n" + quote(last) + "\n"
		}
		if mailbox == "INBOX" && w.now.Sub(date) > 30*24*time.Hour {
			mailbox = "Archive"
		}
		last = w.put(login, mailbox, l)
		date = date.Add(time.Duration(5+w.rng.IntN(600)) * time.Minute)
	}
}
