package httpd

import "time"

// Limits bound what clients can cost. A zero field means its default.
type Limits struct {
	Connections int           // at once; 20 000
	PerAddress  int           // connections from one address, an IPv6 /64 counting as one; 200
	Header      time.Duration // from a request's first byte to the end of its header, the handshake counting; 10 s
	Idle        time.Duration // between two requests; 5 min
	Stall       time.Duration // that a read of a body or a write may take; 1 min
	Stop        time.Duration // for requests under way when the server stops; 5 s
	BodyRate    int           // bytes of a body a second, on average; 1024
}

func (l Limits) orDefault() Limits {
	orDefault(&l.Connections, 20_000)
	orDefault(&l.PerAddress, 200)
	orDefault(&l.Header, 10*time.Second)
	orDefault(&l.Idle, 5*time.Minute)
	orDefault(&l.Stall, time.Minute)
	orDefault(&l.Stop, 5*time.Second)
	orDefault(&l.BodyRate, 1024)
	return l
}

func orDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

const (
	healthTime = 5 * time.Second
	scrapeTime = 30 * time.Second
	maxHeader  = 16 << 10
	maxScrapes = 4 // at once
)
