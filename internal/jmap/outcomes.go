package jmap

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"sync"
	"time"

	"lockstep/internal/delivery"
	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// outcomes are those that were heard before the submission was noted that they are of:
// the queue can be quicker than that.
type outcomes struct {
	mu    sync.Mutex
	early map[string]map[string]status // of what is about to be noted, by delivery and recipient
}

// expect has what is heard of a delivery remembered until it is forgotten.
func (o *outcomes) expect(delivery string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.early == nil {
		o.early = map[string]map[string]status{}
	}
	o.early[delivery] = map[string]status{}
}

func (o *outcomes) forget(delivery string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.early, delivery)
}

// outcomeLife is how long an outcome is left for the node that is about to note the
// submission: much longer than that takes.
const outcomeLife = 10 * time.Minute

// outcomeShelf is where those of a delivery are left.
func outcomeShelf(delivery string) string {
	sum := sha256.Sum256([]byte(delivery))
	return "jmap/outcome/" + hex.EncodeToString(sum[:16]) + "/"
}

// leftOutcome is an outcome as it is left.
type leftOutcome struct {
	Recipient string
	Status    status
}

// outcomeElsewhere leaves an outcome for the node that took the submission, and looks
// again: of who leaves it and then looks for the submission, and who notes that and then
// looks for what was left, one finds the other.
func (s *Server) outcomeElsewhere(ctx context.Context, o delivery.Outcome, is status) error {
	text, err := json.Marshal(leftOutcome{o.Recipient, is})
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(o.Recipient))
	name := outcomeShelf(o.Delivery) + hex.EncodeToString(sum[:16])
	if err := s.Files.PutFile(ctx, store.File{Name: name, Data: text, Until: s.now().Add(outcomeLife)}); err != nil {
		return err
	}
	_, err = s.noteOutcome(ctx, o.Account, o.Delivery, map[string]status{o.Recipient: is})
	return err
}

// outcomesOf are those that were heard of a delivery before its submission was noted,
// here or at other nodes. The outcomes' mu is held.
func (s *Server) outcomesOf(ctx context.Context, delivery string) (map[string]status, error) {
	of := maps.Clone(s.outcomes.early[delivery])
	if s.Files == nil {
		return of, nil
	}
	left, err := s.Files.FilesBelow(ctx, outcomeShelf(delivery), maxOutcomesLeft)
	for _, f := range left {
		if f, err = s.Files.FileNamed(ctx, f.Name); err != nil {
			if mail.KindOf(err) == mail.NotFound {
				err = nil
				continue
			}
			return of, err
		}
		var o leftOutcome
		if err := json.Unmarshal(f.Data, &o); err != nil {
			return of, err
		}
		if of == nil {
			of = map[string]status{}
		}
		of[o.Recipient] = o.Status
	}
	return of, err
}

// maxOutcomesLeft bounds how many are looked at: more recipients than a submission has.
const maxOutcomesLeft = 10_000
