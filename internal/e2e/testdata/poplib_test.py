"""Python's poplib against a server: arguments are port, TLS port, login, password."""
import poplib
import ssl
import sys

port, tls_port, login, password = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4]
context = ssl.create_default_context()
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE

p = poplib.POP3("127.0.0.1", port, timeout=20)
assert b"Lockstep" in p.getwelcome()
capa = p.capa()
assert "STLS" in capa and "UIDL" in capa and capa["EXPIRE"] == ["NEVER"], capa
p.stls(context)
p.utf8()
p.user(login)
p.pass_(password)
assert p.stat()[0] == 3, p.stat()
_, listing, _ = p.list()
assert len(listing) == 3, listing
_, ids, _ = p.uidl()
assert len(set(ids)) == 3, ids
_, lines, octets = p.retr(2)
assert b"Subject: message 2" in lines and lines[-2:] == [b".", b"end 2"], lines
assert octets == int(listing[1].split()[1]), (octets, listing)
_, lines, _ = p.top(3, 1)
assert lines[-1] == b"first line", lines
p.dele(1)
p.rset()
p.dele(2)
try:
    p.retr(2)
    raise SystemExit("what is marked was sent")
except poplib.error_proto:
    pass
p.noop()
p.quit()

p = poplib.POP3_SSL("127.0.0.1", tls_port, timeout=20, context=context)
p.user(login)
p.pass_(password)
_, again, _ = p.uidl()
assert [i.split()[1] for i in again] == [ids[0].split()[1], ids[2].split()[1]], (ids, again)
p.quit()

p = poplib.POP3_SSL("127.0.0.1", tls_port, timeout=20, context=context)
p.user(login)
try:
    p.pass_("wrong")
    raise SystemExit("a wrong password was taken")
except poplib.error_proto as e:
    assert b"[AUTH]" in e.args[0], e
p.close()
print("all well")
