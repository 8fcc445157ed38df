package auth

import (
	"net/http"
	"net/netip"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding/charmap"

	"lockstep/internal/mail"
)

// What protocols over HTTP have in common when somebody signs in.

// AddrOf is where a request comes from.
func AddrOf(r *http.Request) netip.Addr {
	at, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.IPv6Loopback() // not by TCP: from this machine
	}
	return at.Addr().Unmap()
}

// Basic is the login and the password of a request that has them (RFC 7617).
func Basic(r *http.Request) (login, secret string, ok bool) {
	login, secret, ok = r.BasicAuth()
	return utf8Of(login), utf8Of(secret), ok
}

// utf8Of is what a client means by the bytes of its login: UTF-8, else, from Outlook
// on Windows, Latin-1.
func utf8Of(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	t, _ := charmap.ISO8859_1.NewDecoder().String(s) // it has a character for each byte
	return t
}

// Bearer is the token of a request that has one (RFC 6750 §2.1).
func Bearer(r *http.Request) (token string, ok bool) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = utf8Of(strings.TrimSpace(token))
	return token, strings.EqualFold(scheme, "Bearer") && token != ""
}

// browsers are told by what they alone say in a User-Agent, and systems likewise; the
// first that fits is it, as most also name those they descend from.
var (
	browsers = []struct{ says, name string }{
		{"Edg", "Edge"}, {"OPR/", "Opera"}, {"Vivaldi/", "Vivaldi"}, {"SamsungBrowser/", "Samsung Internet"}, {"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"},
		{"CriOS/", "Chrome"}, {"Chromium/", "Chromium"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
	}
	systems = []struct{ says, name string }{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"CrOS", "ChromeOS"}, {"Windows", "Windows"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"}, {"BSD", "BSD"},
	}
)

// AgentName is what a User-Agent says in words that stay when a program is updated:
// "Firefox on Linux", or the name of a program that is no browser.
func AgentName(agent string) string {
	if !strings.HasPrefix(agent, "Mozilla/") {
		name, _, _ := strings.Cut(agent, "/")
		return mail.Clip(clientName(name), maxAgentBytes)
	}
	name := "Browser"
	for _, b := range browsers {
		if strings.Contains(agent, b.says) {
			name = b.name
			break
		}
	}
	for _, s := range systems {
		if strings.Contains(agent, s.says) {
			return name + " on " + s.name
		}
	}
	return name
}

// maxAgentBytes bounds what is kept of a User-Agent.
const maxAgentBytes = 100
