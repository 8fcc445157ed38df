//go:build !unix

package imap

func (s *socket) readFirst() (int, error) { return s.Conn.Read(s.first[:]) }

func (s *socket) readNow([]byte) int { return 0 }
