package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
)

// restoredCommand runs the restore rule by hand.
type restoredCommand struct{}

// Help is what --help says below the flags.
func (restoredCommand) Help() string {
	return "A database that is older than the file named mark beside it is found out by itself when it is opened. Nothing finds out when both came back together: with a snapshot of a whole disk or machine. Say so with this, with the server stopped, before it is started again. It may be said twice: devices then start over twice. It changes no mail."
}

func (restoredCommand) Run(ctx context.Context, g *globals) error {
	cfg, err := g.load()
	if err != nil {
		return err
	}
	if err := mustExist(cfg.Data); err != nil {
		return err
	}
	h, err := openHouse(ctx, cfg, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	if err != nil {
		return err
	}
	defer h.close()
	if why, _ := h.db.Returned(); why == "" { // else it was found out, and is done
		if err := h.db.Restored(ctx); err != nil {
			return err
		}
	}
	accounts, err := h.db.Accounts(ctx)
	if err != nil {
		return err
	}
	held, err := h.db.Held(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("A new epoch begins for %s: devices read flags anew, phones start over, and no number is given twice.\n", inWords(len(accounts), "account"))
	if held > 0 {
		fmt.Printf("%d outgoing messages are held, as they may have been sent already: see lockstep queue list, then release or drop them.\n", held)
	}
	fmt.Println("What was blocked, signed out or wiped since the copy was made has to be so once more; passwords are those of then.")
	return h.close()
}
