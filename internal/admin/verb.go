package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"lockstep/internal/mail"
)

// A Verb is one thing that can be asked: Q is the question, R a row of the
// answer.
type Verb[Q, R any] struct {
	name string
	do   func(o *Ops, ctx context.Context, q Q, emit func(R) error) error
}

// line is one line of an answer: a row, the end, or an error.
type line[R any] struct {
	Row   *R         `json:"row,omitempty"`
	End   bool       `json:"end,omitempty"`
	Error *wireError `json:"error,omitempty"`
}

// wireError carries a mail.Error. Who may open the socket is the operator, so the
// whole text is told.
type wireError struct {
	Kind   mail.Kind `json:"kind"`
	Detail string    `json:"detail"`
}

func asWire(err error) *wireError {
	var e *mail.Error
	if errors.As(err, &e) && e.Kind != mail.Internal {
		return &wireError{e.Kind, e.Detail}
	}
	return &wireError{mail.Internal, err.Error()}
}

// maxQuestionBytes bounds the JSON of one question.
const maxQuestionBytes = 1 << 20

// handler serves the verb.
func (v Verb[Q, R]) handler(o *Ops) (string, http.HandlerFunc) {
	return "POST /v1/" + v.name, func(w http.ResponseWriter, r *http.Request) {
		answer := newAnswer[R](w)
		var q Q
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestionBytes)).Decode(&q); err != nil {
			answer.end(mail.Errorf(mail.Invalid, "not a question: %v", err))
			return
		}
		answer.end(v.do(o, r.Context(), q, answer.emit))
	}
}

// answer writes the lines of an answer, each at once.
type answer[R any] struct {
	w    *json.Encoder
	push *http.ResponseController
}

func newAnswer[R any](w http.ResponseWriter) answer[R] {
	w.Header().Set("Content-Type", "application/x-ndjson")
	return answer[R]{json.NewEncoder(w), http.NewResponseController(w)}
}

func (a answer[R]) emit(row R) error {
	if err := a.w.Encode(line[R]{Row: &row}); err != nil {
		return err
	}
	return a.push.Flush()
}

func (a answer[R]) end(err error) {
	last := line[R]{End: true}
	if err != nil {
		last = line[R]{Error: asWire(err)}
	}
	_ = a.w.Encode(last) // whoever asked may be gone
}

// Each asks and calls fn with each row as it comes.
func (v Verb[Q, R]) Each(ctx context.Context, c *Client, q Q, fn func(R) error) error {
	body, err := json.Marshal(q)
	if err != nil {
		return err
	}
	resp, err := c.post(ctx, v.name, bytesReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	err = readAnswer(resp.Body, fn)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx) // who asked has gone, and not the server
	}
	return err
}

// All asks and returns every row.
func (v Verb[Q, R]) All(ctx context.Context, c *Client, q Q) ([]R, error) {
	var rows []R
	err := v.Each(ctx, c, q, func(r R) error {
		rows = append(rows, r)
		return nil
	})
	return rows, err
}

// One asks what has one row for an answer.
func (v Verb[Q, R]) One(ctx context.Context, c *Client, q Q) (R, error) {
	var row R
	rows, err := v.All(ctx, c, q)
	if err == nil && len(rows) != 1 {
		err = fmt.Errorf("%s: %d rows instead of one", v.name, len(rows))
	}
	if err == nil {
		row = rows[0]
	}
	return row, err
}

// Do asks what has no answer but that it is done.
func (v Verb[Q, R]) Do(ctx context.Context, c *Client, q Q) error {
	return v.Each(ctx, c, q, func(R) error { return nil })
}

func readAnswer[R any](r io.Reader, fn func(R) error) error {
	for d := json.NewDecoder(r); ; {
		var l line[R]
		switch err := d.Decode(&l); {
		case err != nil:
			return mail.Errorf(mail.Unavailable, "the server stopped before it had answered")
		case l.Error != nil:
			return &mail.Error{Kind: l.Error.Kind, Detail: l.Error.Detail}
		case l.End:
			return nil
		case l.Row != nil:
			if err := fn(*l.Row); err != nil {
				return err
			}
		}
	}
}
