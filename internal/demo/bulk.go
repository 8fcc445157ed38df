package demo

import (
	"fmt"
	"strings"
	"time"
)

var listPosts = []struct {
	list, title, subject, text string
}{
	{"gardeners", "Gardeners of the North Shore", "Slugs", "They climb over copper. I have seen it with my own torch."},
	{"gardeners", "Gardeners of the North Shore", "Seed swap on the 3rd", "Tables are free, bring labels that survive rain."},
	{"gardeners", "Gardeners of the North Shore", "When to prune the quince", "After the frost and before the sap. In between you have about a week."},
	{"gardeners", "Gardeners of the North Shore", "Identification please", "Yellow, five petals, and the bees ignore it. Picture on the list page."},
	{"shortwave", "Shortwave listeners", "Strange carrier on 6.2 MHz", "Every evening from 20:10, drifting upwards by 3 Hz a minute. Anybody else?"},
	{"shortwave", "Shortwave listeners", "Antenna in a rented flat", "A wire along the curtain rail works better than the thing I paid for."},
	{"shortwave", "Shortwave listeners", "Log of the week", "Twelve stations, four continents, one complaint from upstairs."},
	{"compilers", "Small compilers", "[ANN] a parser for railway diagrams", "It eats the drawings out of old manuals and gives a grammar. Corrections welcome."},
	{"compilers", "Small compilers", "Register allocation by hand", "For straight-line code of fifty instructions a pencil still wins."},
	{"compilers", "Small compilers", "Re: tail calls and debuggers", "A trace buffer of the last hundred frames is enough for every bug I had this year."},
}

// lists are three mailing lists, filed apart, with the fields of RFC 2369 and 2919.
func (w *writer) lists() {
	authors := []person{sam, priya, otto, nadia, {"Ines Duarte", "ines@shore.example"}, {"Kofi Mensah-Roy", "kofi@antenna.example"}, {"Søren Aagaard", "soren@tools.example"}}
	last := map[string]letter{}
	for i := range 80 {
		p := listPosts[w.rng.IntN(len(listPosts))]
		to := person{p.title, p.list + "@lists.example"}
		l := letter{from: pick(w.rng, authors), to: to, subject: fmt.Sprintf("[%s] %s", p.list, p.subject), date: w.now.Add(-time.Duration(80-i) * 15 * time.Hour).Add(time.Duration(w.rng.IntN(600)) * time.Minute), text: p.text + "\n\n-- \n" + p.title + ", a list at lists.example\n"}
		if before, ok := last[p.list]; ok && w.rng.IntN(2) == 0 {
			l.subject, l.text = "", pick(w.rng, answers)+"\n\n"+quote(before)+"\n"
			l = l.replyTo(before)
		}
		l.header = [][2]string{
			{"List-Id", fmt.Sprintf("%s <%s.lists.example>", p.title, p.list)},
			{"List-Post", "<mailto:" + to.address + ">"},
			{"List-Unsubscribe", fmt.Sprintf("<mailto:%s-leave@lists.example>, <https://lists.example/%s>", p.list, p.list)},
			{"Precedence", "list"},
		}
		last[p.list] = w.put(Alice, "Lists/"+strings.ToUpper(p.list[:1])+p.list[1:], l)
	}
}

var answers = []string{
	"Same here, since about a week.",
	"I tried this and it made things worse, though more interesting.",
	"Could you send the numbers to the list? They'd help others, too.",
	"There is a page about it in the archive, from years ago. Still true.",
	"+1",
	"Please do not use +1 on this list, it wakes up my dog. That said: +1.",
}

var issues = []struct{ name, address, headline, teaser string }{
	{"The Tide Table", "news@tide-table.example", "Spring tides, and where to stand", "Three places on the coast where the water comes closer than you think."},
	{"Kettle & Crumb", "hello@kettle-crumb.example", "A loaf for people without time", "Mix in the evening, forget it, bake before breakfast. That is all."},
	{"Paper Trails", "weekly@paper-trails.example", "Walks of the week: along the old canal", "Eleven kilometres, two locks, one café with a stove."},
}

// newsletters are HTML with a drawn picture inside and a plain alternative.
func (w *writer) newsletters() {
	for week := range 9 {
		for _, n := range issues {
			l := letter{from: person{n.name, n.address}, to: alice, subject: fmt.Sprintf("%s · No. %d", n.headline, 140-week), date: w.now.Add(-time.Duration(week*7*24+w.rng.IntN(48)) * time.Hour)}
			cid := fmt.Sprintf("banner-%d@%s", week, l.from.domain())
			l.text = n.headline + "\n\n" + n.teaser + "\n\nRead on: https://" + l.from.domain() + "/" + fmt.Sprint(140-week) + "\n"
			l.html = fmt.Sprintf("<html><body style=\"font-family:serif\"><img src=\"cid:%s\" alt=\"\" width=\"320\"><h1>%s</h1><p>%s</p><p><a href=\"https://%s/%d\">Read on</a></p></body></html>\n", cid, n.headline, n.teaser, l.from.domain(), 140-week)
			l.inline = []part{{"image/png", "banner.png", cid, waves(w.rng, 320, 80)}}
			l.header = [][2]string{{"List-Unsubscribe", "<https://" + l.from.domain() + "/leave>"}, {"List-Unsubscribe-Post", "List-Unsubscribe=One-Click"}}
			mailbox := "Newsletters"
			if week == 0 {
				mailbox = "INBOX"
			}
			w.put(Alice, mailbox, l)
		}
	}
}

// receipts are short machine-made mails.
func (w *writer) receipts() {
	shops := []struct{ name, address, what string }{
		{"Ferry Office", "tickets@ferry.example", "Return ticket, small ferry"},
		{"Paint & Rope", "orders@paint-rope.example", "Marine varnish, 2.5 l"},
		{"Bakery at the Pier", "till@bakery.example", "Rolls, 60 pieces"},
		{"Tools for Hands", "orders@tools-hands.example", "Spokeshave, flat"},
	}
	for i := range 32 {
		s := pick(w.rng, shops)
		number := 40000 + w.rng.IntN(9000)
		total := fmt.Sprintf("€ %d.%02d", 3+w.rng.IntN(90), w.rng.IntN(100))
		l := letter{from: person{s.name, s.address}, to: alice, subject: fmt.Sprintf("Your order %d", number), date: w.ago(time.Duration(i+1) * 70 * time.Hour)}
		l.text = fmt.Sprintf("Thank you for your order.\n\n  %-32s %10s\n  %-32s %10s\n\nYour number: %d\n", s.what, total, "Total", total, number)
		if i%3 == 0 {
			l.attached = []part{{"application/pdf", fmt.Sprintf("invoice-%d.pdf", number), "", invoice(number, s.what, total)}}
		}
		w.put(Alice, "Receipts", l)
	}
}

// junk is what nobody asked for.
func (w *writer) junk() {
	for i := range 14 {
		l := letter{from: person{"PRIZE DEPARTMENT", fmt.Sprintf("winner%d@lottery-%d.example", i, w.rng.IntN(100))}, to: alice, subject: pick(w.rng, []string{"You have WON!!!", "Last chance: your parcel", "R.e.-.f.i.n.a.n.c.e now", "Your mailbox is full (click)"}), date: w.ago(25 * 24 * time.Hour)}
		l.html = "<html><body><h1>Congratulations</h1><p>Click <a href=\"http://prize.invalid/\">here</a> within <b>24 hours</b>.</p></body></html>\n"
		w.put(Alice, "Junk", l, "$Junk")
	}
	for range 10 {
		l := letter{from: pick(w.rng, colleagues), to: alice, subject: "Old minutes", date: w.ago(20 * 24 * time.Hour), text: "Superseded, please throw away.\n"}
		w.put(Alice, "Trash", l, `\Seen`)
	}
}

// drafts are what Alice has not sent yet.
func (w *writer) drafts() {
	for _, d := range []struct {
		to            person
		subject, text string
	}{
		{mira, "Proposal for the lens room", "Dear Mira,\n\nwhat if we\n"},
		{mum, "Birthday", "Hello Mum,\n\n"},
		{person{}, "", "Notes: ask Otto about the winch, buy putty, call the school.\n"},
	} {
		w.put(Alice, "Drafts", letter{from: alice, to: d.to, subject: d.subject, date: w.ago(48 * time.Hour), text: d.text}, `\Draft`, `\Seen`)
	}
}
