package demo

import (
	"mime"
	"net/mail"
	"strings"
)

// person is a name and an address.
type person struct{ name, address string }

// String writes the person as an address of RFC 5322; names in any script.
func (p person) String() string {
	switch {
	case p.address == "":
		return ""
	case p.name == "":
		return p.address
	case strings.IndexFunc(p.name, func(r rune) bool { return r > 0x7e }) >= 0:
		return mime.QEncoding.Encode("utf-8", p.name) + " <" + p.address + ">"
	}
	return (&mail.Address{Name: p.name, Address: p.address}).String()
}

func (p person) domain() string { return p.address[strings.LastIndexByte(p.address, '@')+1:] }

func (p person) first() string {
	name, _, _ := strings.Cut(p.name, " ")
	return name
}

func people(list []person) string {
	var words []string
	for _, p := range list {
		if s := p.String(); s != "" {
			words = append(words, s)
		}
	}
	return strings.Join(words, ", ")
}

var (
	alice = person{"Alice Ferris", Alice}
	bob   = person{"Bob Okafor", Bob}

	mira  = person{"Mira Lindqvist", "mira@lighthouse.example"}
	tomas = person{"Tomás Rivera", "tomas@lighthouse.example"}
	june  = person{"June Abara", "june@lighthouse.example"}
	otto  = person{"Otto Weiß", "otto@harbour.example"}
	nadia = person{"Nadia Petrova", "nadia@harbour.example"}
	priya = person{"Priya Raman", "priya@observatory.example"}
	sam   = person{"Sam \"Dusty\" Keller", "sam.keller@workshop.example"}
	mum   = person{"Helen Ferris", "helen@family.example"}
	theo  = person{"Theo Ferris", "theo@family.example"}

	colleagues = []person{mira, tomas, june, otto, nadia, priya}
)
