"""Drives a server with Python's imaplib: argv is host, port, login, password."""
import imaplib
import ssl
import sys
import time

imaplib.Debug = 0
host, port, login, password = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]


def ok(answer):
    status, data = answer
    assert status == "OK", answer
    return data


def refused(answer, word):
    status, data = answer
    assert status == "NO" and word in data[0], answer


m = imaplib.IMAP4(host, port)
assert "IMAP4REV1" in m.capabilities, m.capabilities
assert "STARTTLS" in m.capabilities, m.capabilities
context = ssl.create_default_context()
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
ok(m.starttls(context))
try:
    m.login(login, "wrong")
except imaplib.IMAP4.error as e:
    assert "AUTHENTICATIONFAILED" in str(e), e
else:
    raise AssertionError("a wrong password was taken")
ok(m.authenticate("PLAIN", lambda _: ("\0%s\0%s" % (login, password)).encode()))
ok(m.noop())
assert b'"/"' in ok(m.namespace())[0]
names = ok(m.list())
assert any(b"INBOX" in n for n in names) and any(b"\\Trash" in n for n in names), names

ok(m.create("Work"))
ok(m.create('"Work/two words"'))
refused(m.create("Work"), b"ALREADYEXISTS")
ok(m.subscribe("Work"))
assert any(b"Work" in n for n in ok(m.lsub()))
ok(m.unsubscribe("Work"))

for i in range(10):
    text = "From: a%d@example.test\r\nSubject: number %d\r\n\r\nThis is %d.\r\n" % (i, i, i)
    ok(m.append("Work", "(\\Seen)" if i % 2 else None, imaplib.Time2Internaldate(time.time()), text.encode()))
    m.response("APPENDUID")
refused(m.append("Nowhere", None, None, b"x"), b"TRYCREATE")

assert ok(m.select("Work")) == [b"10"]
assert m.response("UIDVALIDITY")[1][0].isdigit()
assert ok(m.search(None, "UNSEEN")) == [b"1 3 5 7 9"]
assert ok(m.search("UTF-8", "SUBJECT", '"number 7"')) == [b"8"]
assert ok(m.uid("SEARCH", "FROM", "a3@")) == [b"4"]
m.literal = "number 4".encode()
assert ok(m.uid("SEARCH", "CHARSET", "UTF-8", "SUBJECT")) == [b"5"]

data = ok(m.fetch("2:3", "(UID RFC822.SIZE BODY.PEEK[])"))
assert len(data) == 4 and data[0][1].endswith(b"This is 1.\r\n") and data[2][1].endswith(b"This is 2.\r\n"), data
data = ok(m.fetch("1", "(BODY[HEADER.FIELDS (SUBJECT)] BODY[TEXT]<5.2>)"))
assert data[0][1] == b"Subject: number 0\r\n\r\n" and data[1][1] == b"is", data

assert b"\\Flagged" in ok(m.store("1:2", "+FLAGS", "\\Flagged $Mine"))[0]
ok(m.copy("1:3", '"Work/two words"'))
assert b"COPYUID" in m.response("COPYUID")[0].encode()
ok(m.uid("MOVE", "4", "Trash"))
ok(m.store("1", "+FLAGS.SILENT", "\\Deleted"))
assert ok(m.expunge())[-1:] == [b"1"]  # MOVE had said one before
assert b"MESSAGES 8" in ok(m.status("Work", "(MESSAGES UIDNEXT UNSEEN)"))[0]
assert b"MESSAGES 3" in ok(m.status('"Work/two words"', "(MESSAGES)"))[0]
ok(m.check())
ok(m.close())
ok(m.enable("UTF8=ACCEPT"))

ok(m.select("Work", readonly=True))
assert m.is_readonly
try:
    status, data = m.store("1", "+FLAGS", "\\Deleted")
    assert status == "NO", data
except imaplib.IMAP4.readonly:
    pass
ok(m.unselect())
ok(m.rename("Work", "Done"))
assert any(b"Done/two words" in n for n in ok(m.list('""', "Done/*")))
ok(m.delete('"Done/two words"'))
ok(m.delete("Done"))
refused(m.delete("Done"), b"NONEXISTENT")
assert m.logout()[0] == "BYE"
print("all well")
