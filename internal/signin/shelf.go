package signin

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"lockstep/internal/mail"
	"lockstep/internal/store"
)

// What is kept between two requests lies with the store, so that the second may come to
// another node, or after a restart. It is sealed, and named by the hash of what the
// client says, so that who reads the database can do nothing with it.

const (
	shelfPurpose = "half-finished sign-ins"
	begunShelf   = "signin/begun/"
	codeShelf    = "signin/code/"  // what a code is good for
	usedShelf    = "signin/used/"  // that it was used, and by whom
	grantShelf   = "signin/grant/" // what came of it
	twiceShelf   = "signin/twice/" // that it came again
)

func hashName(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:16])
}

// put keeps v under a name until a time.
func (s *Server) put(ctx context.Context, name string, v any, until time.Time) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.Files.PutFile(ctx, store.File{Name: name, Data: s.Auth.Seal(shelfPurpose, name, text), Until: until})
}

// get reads what is kept under a name; found is false when there is nothing, or nothing
// of ours.
func (s *Server) get(ctx context.Context, name string, v any) (found bool, err error) {
	f, err := s.Files.FileNamed(ctx, name)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	text, err := s.Auth.Unseal(shelfPurpose, name, f.Data)
	if err != nil {
		s.Log.WarnContext(ctx, "half-finished sign-in", "proto", "signin", "err", err)
		return false, nil
	}
	return true, json.Unmarshal(text, v)
}

// drop removes what is kept under a name. Of several that do it at once, for one it was
// there.
func (s *Server) drop(ctx context.Context, name string) (was bool, err error) {
	err = s.Files.DropFile(ctx, name)
	if err != nil && mail.KindOf(err) == mail.NotFound {
		return false, nil
	}
	return err == nil, err
}

// drawers is how many parts a shelf has, by the first letter of the names, which are
// hashes: so each is as full as the others.
const drawers = 16

// makeRoom drops one of those that lie in the same drawer as a name is to, when that is
// full. It looks at a sixteenth of the most that a shelf may hold, and no more.
func (s *Server) makeRoom(ctx context.Context, shelf, name string, most int) error {
	all, err := s.Files.FilesBelow(ctx, name[:len(shelf)+1], most/drawers)
	if err == nil && len(all) >= most/drawers {
		_, err = s.drop(ctx, all[0].Name)
	}
	return err
}
