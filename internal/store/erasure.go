package store

import (
	"context"
	"time"
)

// Erasure is one erasing of messages, a person or an account.
type Erasure struct {
	ID    int64
	Begun time.Time
	Open  bool   // something of it is still to be done
	State []byte // what, as package admin writes it; nil when all is done
	Proof []byte // as package admin writes it
}

// MaxErasureState bounds the state and the proof of one, in bytes: one past is Limit.
const MaxErasureState = 64 << 20

// Erasures keeps what was erased and what is being erased, so that a start after a
// crash can finish it and there is a proof of it. Each method is one durable
// transaction.
type Erasures interface {
	// BeginErasure notes one and gives it its id, which is never used again.
	BeginErasure(ctx context.Context, state []byte) (int64, error)
	// SetErasure replaces what one says; NotFound if there is none.
	SetErasure(ctx context.Context, e Erasure) error
	// Erasures returns all there are, oldest first; without their states if onlyProofs.
	Erasures(ctx context.Context, onlyProofs bool) ([]Erasure, error)
}
