"""Drives SORT, THREAD, NOTIFY, REPLACE, CATENATE and UIDONLY with Python's imaplib:
argv is host, port, login, password."""
import imaplib
import sys

host, port, login, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
for name in ("NOTIFY", "REPLACE", "ESEARCH"):
    imaplib.Commands[name] = ("AUTH", "SELECTED")


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


def connect():
    m = imaplib.IMAP4(host, port, timeout=20)
    ok(m.login(login, password))
    m.capabilities = tuple(ok(m.capability())[0].decode().upper().split())
    return m


def heard(m):
    """The next line that the server pushes."""
    return m.readline().strip()


a, b = connect(), connect()
for word in ("SORT", "THREAD=REFERENCES", "NOTIFY", "REPLACE", "CATENATE", "UIDONLY"):
    assert word in a.capabilities, word

subjects = ["pears", "Re: apples", "apples", "Fwd: pears", "plums"]
for i, subject in enumerate(subjects):
    text = "From: p%d@example.test\r\nDate: %d Jan 2026 10:00:00 +0000\r\nSubject: %s\r\nMessage-ID: <%d@more.example>\r\n" % (9 - i, 9 - i, subject, i)
    if i in (1, 3):
        text += "In-Reply-To: <%d@more.example>\r\n" % {1: 2, 3: 0}[i]
    ok(a.append("INBOX", None, None, (text + "\r\nBody %d.\r\n" % i).encode()))
ok(a.select("INBOX"))

assert ok(a.sort("(SUBJECT)", "UTF-8", "ALL")) == [b"2 3 1 4 5"], ok(a.sort("(SUBJECT)", "UTF-8", "ALL"))
assert ok(a.sort("(REVERSE DATE)", "US-ASCII", "ALL")) == [b"1 2 3 4 5"]
assert ok(a.sort("(FROM)", "UTF-8", "SUBJECT", "apples")) == [b"3 2"]
assert ok(a.uid("SORT", "(DATE)", "UTF-8", "UID", "2:4")) == [b"4 3 2"]
threads = ok(a.thread("REFERENCES", "UTF-8", "ALL"))[0].replace(b" ", b"")
assert b"(14)" in threads and b"(32)" in threads and b"(5)" in threads, threads

# b follows everything, and asks for nothing any more.
ok(b._simple_command("NOTIFY", "SET STATUS (inboxes (MessageNew MessageExpunge FlagChange)) (personal (MailboxName))"))
ok(a.create("Fruit"))
assert heard(b) == b'* LIST (\\HasNoChildren) "/" Fruit', "created"
ok(a.store("1", "+FLAGS", "(\\Seen)"))
assert heard(b).startswith(b"* STATUS INBOX (UNSEEN 4"), "read"
ok(a.copy("2", "INBOX"))
assert heard(b).startswith(b"* STATUS INBOX (MESSAGES 6 UIDNEXT 7"), "copied"
ok(a.rename("Fruit", "Basket"))
assert heard(b) == b'* LIST (\\HasNoChildren) "/" Basket ("OLDNAME" (Fruit))', "renamed"
ok(a.delete("Basket"))
assert heard(b) == b'* LIST (\\NonExistent) "/" Basket', "deleted"
ok(b._simple_command("NOTIFY", "SET (selected (MessageNew (UID BODY.PEEK[HEADER.FIELDS (SUBJECT)]) MessageExpunge))"))
ok(b.select("INBOX"))
ok(a.append("INBOX", None, None, b"Subject: figs\r\n\r\nx\r\n"))
assert heard(b) == b"* 7 EXISTS"
assert heard(b).endswith(b"RECENT")
assert heard(b).startswith(b"* 7 FETCH (UID 7 BODY[HEADER.FIELDS (SUBJECT)] {")
assert heard(b) == b"Subject: figs"
heard(b), heard(b)
ok(a.store("7", "+FLAGS.SILENT", "(\\Deleted)"))
ok(a.expunge())
assert heard(b) == b"* 7 EXPUNGE"
ok(b._simple_command("NOTIFY", "NONE"))

# A draft is replaced, its text put together from what is there.
ok(a.append("Drafts", "(\\Draft)", None, b"Subject: a draft\r\n\r\nfirst\r\n"))
ok(a.select("Drafts"))
part = b'CATENATE (URL "/Drafts/;UID=1/;SECTION=HEADER" TEXT {8+}\r\nsecond\r\n)'
ok(a._simple_command("REPLACE", "1", "Drafts", "(\\Draft)", part))
assert ok(a.search(None, "ALL")) == [b"1"]
assert ok(a.fetch("1", "(BODY.PEEK[])"))[0][1] == b"Subject: a draft\r\n\r\nsecond\r\n"

ok(b.unselect())
ok(b.enable("UIDONLY"))
ok(b.select("INBOX"))
try:
    b.fetch("1", "(FLAGS)")
except imaplib.IMAP4.error as e:
    assert "UIDREQUIRED" in str(e), e
else:
    raise AssertionError("a sequence number was taken")
for m in (a, b):
    m.logout()
print("all well")
