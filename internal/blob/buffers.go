package blob

import "sync"

const (
	frameBuffer = frameSize + 1024 // a frame, sealed or not
	smallPut    = 1 << 20          // puts up to this many bytes stay in memory
)

// frames and smalls are the buffers of all puts and readers.
var (
	frames framePool
	smalls smallPool
)

type framePool struct{ p sync.Pool }

func (f *framePool) get() []byte {
	if b, ok := f.p.Get().(*[frameBuffer]byte); ok {
		return b[:]
	}
	return make([]byte, frameBuffer)
}

// put takes back what get gave, nil or resliced from its start too.
func (f *framePool) put(b []byte) {
	if b != nil {
		f.p.Put((*[frameBuffer]byte)(b[:frameBuffer]))
	}
}

type smallPool struct{ p sync.Pool }

func (s *smallPool) get() []byte {
	if b, ok := s.p.Get().(*[smallPut]byte); ok {
		return b[:]
	}
	return make([]byte, smallPut)
}

func (s *smallPool) put(b []byte) { s.p.Put((*[smallPut]byte)(b[:smallPut])) }
