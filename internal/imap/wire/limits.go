package wire

// Limits bound what one command may cost. A zero field means its default,
// which is safe on the open internet; change them between commands only.
type Limits struct {
	Line     int   // bytes of a command outside its literals; 64 KiB (RFC 9051 §4 advises at least 8192)
	Literal  int64 // bytes of one literal that is kept in memory; 64 KiB
	NonSync  int64 // bytes of a non-synchronising literal, also of a message: 4096 with LITERAL- (RFC 7888 §5); no bound
	Literals int   // literals of one command, not counting messages; 128
	Skip     int64 // refused bytes that are read past to keep the connection; 64 MiB
	Depth    int   // nesting of search keys; 256
	Items    int   // members of one list, keys of one search; 4096
}

// BeforeLogin is what a client may cost that has not said who it is.
func (l Limits) BeforeLogin() Limits {
	l = l.orDefault()
	l.Line = min(l.Line, 8<<10)
	l.Literal = min(l.Literal, 4<<10)
	l.Literals = min(l.Literals, 8)
	l.Skip = min(l.Skip, 1<<20)
	return l
}

func (l Limits) orDefault() Limits {
	setDefault(&l.Line, 64<<10)
	setDefault(&l.Literal, 64<<10)
	setDefault(&l.Literals, 128)
	setDefault(&l.Skip, 64<<20)
	setDefault(&l.Depth, 256)
	setDefault(&l.Items, 4096)
	return l
}

func setDefault[T int | int64](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}
