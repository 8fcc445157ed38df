package main

import "text/template"

// demoWelcome says how to connect. Its commands are pasted by people and by tests.
var demoWelcome = template.Must(template.New("welcome").Parse(`Lockstep is running, on this machine only. It ends with Ctrl-C.

  Web        http://localhost:{{.HTTP}}
  Accounts   {{.Alice}} and {{.Bob}}, password {{.Password}}
  Devices    of {{.Alice}}, each with a password of its own:
{{- range .Devices}}
             {{.}}: {{index $.Secrets .}}
{{- end}}
  IMAP       127.0.0.1:{{.IMAP}}, with TLS {{.IMAPS}}
  POP3       127.0.0.1:{{.POP3}}, with TLS {{.POP3S}}
  SMTP       127.0.0.1:{{.SMTP}}, submission {{.Submission}}, with TLS {{.Submissions}}, LMTP {{.LMTP}}
  ActiveSync https://127.0.0.1:{{.HTTPS}}/Microsoft-Server-ActiveSync; a real phone needs a name it can reach, see docs/users/phones.md
  Metrics    http://127.0.0.1:{{.HTTP}}/metrics

neomutt:

neomutt -n -F /dev/null -e 'set imap_user="{{.Alice}}" imap_pass="{{index .Secrets "laptop"}}" ssl_starttls=no ssl_force_tls=no imap_idle=yes folder="imap://127.0.0.1:{{.IMAP}}/" mail_check=5' -f imap://127.0.0.1:{{.IMAP}}/INBOX

mbsync (package isync), into the directory demo-mail:

mkdir -p demo-mail && cat > demo.mbsyncrc <<'END'
IMAPAccount demo
Host 127.0.0.1
Port {{.IMAP}}
User {{.Alice}}
Pass {{index .Secrets "phone"}}
SSLType None

IMAPStore far
Account demo

MaildirStore near
Path demo-mail/
Inbox demo-mail/INBOX
SubFolders Verbatim

Channel demo
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
END
mbsync -c demo.mbsyncrc -a

Thunderbird: Account Settings, Add Mail Account, {{.Alice}}, Configure manually:

  Incoming   IMAP, 127.0.0.1, port {{.IMAP}}, no security, normal password, {{.Alice}}
  Outgoing   SMTP, 127.0.0.1, port {{.Submission}}, no security, normal password, {{.Alice}}

Send something in:

printf 'Subject: Hello\n\nIt works.\n' | curl -s smtp://127.0.0.1:{{.SMTP}} --mail-from friend@elsewhere.example --mail-rcpt {{.Alice}} -T -

What changes is shown here:

`))
