package demo

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

var scripts = []struct {
	from          person
	subject, text string
}{
	{person{"佐藤 花", "hana@kissa.example"}, "灯台の写真をありがとう", "アリスさん、\n\n灯台の写真をありがとうございました。霧の朝の一枚がとてもきれいでした。\n来週の水曜日、港の喫茶店で会いましょう。\n\n花\n"},
	{person{"林小雨", "xiaoyu@chaguan.example"}, "关于周六的望远镜观测", "你好，\n\n周六晚上天气晴朗，可以看到土星环。请带上厚衣服和热茶。\n\n小雨\n"},
	{person{"陳美玲", "meiling@chaguan.example"}, "會議紀錄：港口整修", "各位好，\n\n附上今天會議的紀錄。請在星期五以前回覆意見。\n\n美玲\n"},
	{person{"김하늘", "haneul@badatga.example"}, "배 시간표가 바뀌었어요", "안녕하세요,\n\n다음 달부터 작은 배는 사십 분마다 떠납니다. 첫 배는 여섯 시 오십 분입니다.\n\n하늘 드림\n"},
	{person{"ليلى حداد", "layla@manara.example"}, "صور المنارة القديمة", "مرحبا أليس،\n\nوجدت صورا قديمة للمنارة في مكتبة الميناء. سأرسلها إليك يوم الخميس (PDF).\n\nليلى\n"},
	{person{"נועה לוי", "noa@migdalor.example"}, "פגישה ביום שלישי", "שלום אליס,\n\nנפגשים ביום שלישי בשעה 18:30 ליד המגדלור. להביא מפתחות!\n\nנועה\n"},
	{person{"سارا مرادی", "sara@fanous.example"}, "برنامهٔ شب رصد", "سلام،\n\nبرنامهٔ شب رصد آماده است. لطفاً فهرست مهمان\u200cها را بفرستید.\n\nسارا\n"},
	{person{"Ксения Лесная", "ksenia@prichal.example"}, "Расписание парома", "Привет!\n\nНовое расписание висит на причале. Первый паром в 6:50, булочки будут.\n\nКсения\n"},
	{person{"Ελένη Φάρου", "eleni@faros.example"}, "Ο φάρος την άνοιξη", "Αγαπητή Αλίκη,\n\nο φάρος ανοίγει πάλι τον Απρίλιο. Θα έρθεις;\n\nΕλένη\n"},
	{person{"ณิชา ท่าเรือ", "nicha@tharuea.example"}, "ตารางเรือ", "สวัสดีค่ะ\n\nเรือเที่ยวแรกออกเวลา 6:50 น. อย่าลืมขนมปังนะคะ\n\nณิชา\n"},
	{person{"Żaneta Łoś", "zaneta@latarnia.example"}, "Zażółć gęślą jaźń 🗼", "Cześć!\n\nLatarnia świeci znowu. 👩‍🔧👍🏽 Zdjęcia wkrótce.\n\nŻaneta\n"},
}

// languages are messages in many scripts; most lie in a mailbox whose name is not
// ASCII either.
func (w *writer) languages() {
	for round := range 3 {
		for i, s := range scripts {
			mailbox := "Correspondência/世界"
			if (i+round)%4 == 0 {
				mailbox = "INBOX"
			}
			l := letter{from: s.from, to: alice, subject: s.subject, date: w.ago(time.Duration(10+20*round) * 24 * time.Hour), text: s.text}
			if round == 1 {
				l.html = asHTML(s.text)
			}
			w.put(Alice, mailbox, l)
		}
	}
}

// invitations are calendar objects (RFC 6047): asked, moved, answered, called off.
func (w *writer) invitations() {
	meetings := []struct{ what, where string }{{"Lamp room walk-through", "Lighthouse, second landing"}, {"Winter berths", "Harbour office"}, {"Open night planning", "Observatory kitchen"}, {"Ferry timetable", "Online"}}
	for i, m := range meetings {
		organizer := colleagues[i]
		uid := fmt.Sprintf("%08x-meeting@%s", w.rng.Uint32(), organizer.domain())
		start := w.now.AddDate(0, 0, 2+i*3).Truncate(time.Hour)
		first := w.put(Alice, "INBOX", invitation(organizer, "REQUEST", uid, 0, m.what, m.where, start, w.ago(100*time.Hour)))
		switch i {
		case 1:
			w.put(Alice, "INBOX", invitation(organizer, "REQUEST", uid, 1, m.what, m.where, start.Add(2*time.Hour), first.date.Add(3*time.Hour)).replyTo(first))
		case 2:
			w.put(Alice, "INBOX", invitation(organizer, "CANCEL", uid, 2, m.what, m.where, start, first.date.Add(5*time.Hour)).replyTo(first))
		}
	}
}

var methodWords = map[string]string{"REQUEST": "Invitation", "CANCEL": "Cancelled"}

func invitation(organizer person, method, uid string, sequence int, what, where string, start, sent time.Time) letter {
	const stamp = "20060102T150405Z"
	lines := []string{"BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//lockstep//demo//EN", "METHOD:" + method, "BEGIN:VEVENT", "UID:" + uid,
		fmt.Sprintf("SEQUENCE:%d", sequence), "DTSTAMP:" + sent.UTC().Format(stamp), "DTSTART:" + start.UTC().Format(stamp), "DTEND:" + start.Add(time.Hour).UTC().Format(stamp),
		"SUMMARY:" + what, "LOCATION:" + strings.ReplaceAll(where, ",", `\,`), "ORGANIZER;CN=\"" + organizer.name + "\":mailto:" + organizer.address,
		"ATTENDEE;PARTSTAT=NEEDS-ACTION;RSVP=TRUE:mailto:" + Alice, "ATTENDEE;PARTSTAT=ACCEPTED:mailto:" + Bob}
	if method == "CANCEL" {
		lines = append(lines, "STATUS:CANCELLED")
	}
	lines = append(lines, "END:VEVENT", "END:VCALENDAR", "")
	return letter{from: organizer, to: alice, more: []person{bob}, subject: methodWords[method] + ": " + what, date: sent, method: method, calendar: strings.Join(lines, "\n"),
		text: fmt.Sprintf("%s: %s\nWhen: %s\nWhere: %s\n", methodWords[method], what, start.Format("Monday, 2 January 15:04"), where)}
}

// attachments are messages with files of many kinds and names.
func (w *writer) attachments() {
	files := []part{
		{"image/png", "fog-morning.png", "", waves(w.rng, 640, 400)},
		{"image/jpeg", "Pier bei Nebel (größer).jpg", "", photo(w.rng, 800, 500)},
		{"image/gif", "灯台.gif", "", blink(w.rng, 120, 120)},
		{"application/pdf", "plan.pdf", "", invoice(1, "Plan of the lamp room", "sheet 1 of 4")},
		{"text/csv", "berths.csv", "", []byte("boat,berth,length\r\nMöwe,3,8.2\r\nWindspiel,7,6.9\r\n")},
		{"application/zip", "scans.zip", "", archive("readme.txt", "Plates 1 to 40, 600 dpi.\n")},
		{"application/octet-stream", "firmware v2; final.bin", "", noise(w.rng, 48<<10)},
		{"message/rfc822", "forwarded.eml", "", letter{from: sam, to: bob, subject: "The original", date: w.now.AddDate(0, 0, -9), id: "original@workshop.example", text: "This is what I meant.\n"}.bytes(w.rng)},
	}
	for i := range 20 {
		from := pick(w.rng, colleagues)
		l := letter{from: from, to: alice, subject: pick(w.rng, []string{"Pictures", "The plan", "As promised", "Files for tomorrow", "Scans"}), date: w.ago(50 * 24 * time.Hour), text: "See attached.\n\n" + from.first() + "\n"}
		l.attached = []part{files[i%len(files)]}
		if i%4 == 3 {
			l.attached = append(l.attached, files[(i+2)%len(files)], files[(i+5)%len(files)])
		}
		w.put(Alice, pick(w.rng, []string{"INBOX", "Archive", "Projects/Lighthouse"}), l)
		if i%5 == 0 { // the same file in another account is stored once
			l.to = bob
			w.put(Bob, "INBOX", l)
		}
	}
}

// broken are messages that no standard allows and every server meets.
func (w *writer) broken() {
	date := w.ago(10 * 24 * time.Hour)
	stamp := date.Format(time.RFC1123Z)
	for i, raw := range []string{
		"From: printer@workshop.example\r\nTo: alice@example.test\r\nSubject: no blank line before the body\r\nDate: " + stamp + "\r\nThis line is neither header nor body.\r\n\r\nPage 1 of 1.\r\n",
		"Subject: no From, no Date, no Message-ID\r\n\r\nJust a subject.\r\n",
		"From: \"unclosed <scanner@workshop.example>\r\nTo: undisclosed recipients:;\r\nSubject: =?utf-8?Q?broken_=ZZ_encoded_word?= and =?made-up-charset?B?AAECAw==?=\r\nDate: yesterday\r\n\r\nThe date is no date.\r\n",
		"From: old@tools.example\r\nSubject: raw Latin-1 in the header: caf\xe9\r\nDate: " + stamp + "\r\nContent-Type: text/plain; charset=iso-8859-1\r\nContent-Transfer-Encoding: 8bit\r\n\r\nD\xe9j\xe0 vu, na\xefve.\r\n",
		"From: fax@harbour.example\r\nSubject: multipart that never ends\r\nDate: " + stamp + "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"edge\"\r\n\r\n--edge\r\nContent-Type: text/plain\r\n\r\nFirst part.\r\n--edge\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\niVBORw0KGgo\r\n",
		"From: fax@harbour.example\r\nSubject: multipart without boundary\r\nDate: " + stamp + "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/alternative\r\n\r\nNobody knows where parts begin.\r\n",
		"From: line@observatory.example\r\nSubject: a very long line\r\nDate: " + stamp + "\r\n\r\n" + strings.Repeat("long ", 4000) + "\r\n",
		"From: lf@observatory.example\nSubject: bare line feeds\nDate: " + stamp + "\n\nEvery line ends\nwithout a carriage return.\n",
		"From: empty@observatory.example\r\nSubject: no body at all\r\nDate: " + stamp + "\r\n\r\n",
		"From: claims@tools.example\r\nSubject: says base64, is not\r\nDate: " + stamp + "\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\nThis was never encoded!!\r\n",
		"From: nest@tools.example\r\nSubject: parts in parts in parts\r\nDate: " + stamp + "\r\nMIME-Version: 1.0\r\n" + nested(12),
		"From: two@tools.example\r\nFrom: too@tools.example\r\nSubject: two of everything\r\nSubject: really\r\nDate: " + stamp + "\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n\r\n<b>Which one?</b>\r\n",
	} {
		w.messages = append(w.messages, Message{Login: Alice, Mailbox: "INBOX/Odd", Flags: w.habits(date), Date: date.Add(time.Duration(i) * time.Minute), Raw: []byte(raw)})
	}
}

func nested(depth int) string {
	if depth == 0 {
		return "Content-Type: text/plain\r\n\r\nThe innermost part.\r\n"
	}
	return fmt.Sprintf("Content-Type: multipart/mixed; boundary=\"b%d\"\r\n\r\n--b%d\r\n%s--b%d--\r\n", depth, depth, nested(depth-1), depth)
}

// noise is what does not compress.
func noise(rng *rand.Rand, n int) []byte {
	var b bytes.Buffer
	for b.Len() < n {
		v := rng.Uint64()
		for range 8 {
			b.WriteByte(byte(v))
			v >>= 8
		}
	}
	return b.Bytes()
}
