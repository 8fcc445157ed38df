package jmap

import (
	"context"
	"errors"

	"lockstep/internal/mail"
)

// methodErrorOf is the one place where a method's failure becomes JMAP's words.
func (s *Server) methodErrorOf(ctx context.Context, method string, err error) *methodError {
	if e, ok := errors.AsType[*methodError](err); ok {
		return e
	}
	kind := mail.KindOf(err)
	s.logFault(ctx, method, kind, err)
	return &methodError{Type: methodKinds[kind], Description: mail.DetailOf(err)}
}

// setErrorOf is methodErrorOf for one object of a set.
func (s *Server) setErrorOf(ctx context.Context, method string, err error) *setError {
	if e, ok := errors.AsType[*setError](err); ok {
		return e
	}
	kind := mail.KindOf(err)
	s.logFault(ctx, method, kind, err)
	return &setError{Type: setKinds[kind], Description: mail.DetailOf(err)}
}

func (s *Server) logFault(ctx context.Context, method string, kind mail.Kind, err error) {
	if kind == mail.Internal || kind == mail.Corrupt {
		s.Log.ErrorContext(ctx, "method failed", "proto", "jmap", "cmd", method, "err", err)
	}
}
