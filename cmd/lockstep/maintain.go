package main

import (
	"context"
	"time"

	"lockstep/internal/blob"
	"lockstep/internal/mail"
	"lockstep/internal/store/sqlstore"
)

// How often the upkeep runs, and how long after the start it begins.
const (
	upkeepEvery  = time.Hour
	upkeepBegins = 5 * time.Minute
	compactEvery = 24 // rounds of upkeep
	surveyEvery  = 6  // of mail in a bucket, which takes two rounds at least to remove something
)

// tellEvery is how often accounts are looked for that are to be told of a flood.
const tellEvery = 10 * time.Second

// maintain forgets history past the horizon and blobs that nobody names, and tells
// accounts of floods. A round that fails is logged; the next one tries again. Of several
// nodes one does it.
func (h *house) maintain(ctx context.Context) error {
	t := time.NewTimer(upkeepBegins)
	defer t.Stop()
	tell := time.NewTicker(tellEvery)
	defer tell.Stop()
	for round := 1; ; {
		select {
		case <-ctx.Done():
			return nil
		case <-tell.C:
			if err := h.delivery.TellFloods(ctx, h.db, time.Now()); err != nil && ctx.Err() == nil {
				h.log.ErrorContext(ctx, "upkeep: floods", "err", err)
			}
			continue
		case <-t.C:
		}
		if err := h.upkeep(ctx, round%h.compactEvery() == 0); err != nil && ctx.Err() == nil {
			h.log.ErrorContext(ctx, "upkeep", "err", err)
		}
		t.Reset(upkeepEvery)
		round++
	}
}

// compactEvery is after how many rounds of upkeep blobs are compacted.
func (h *house) compactEvery() int {
	if h.blobs.InBucket() != "" {
		return surveyEvery
	}
	return compactEvery
}

// rewrap goes on with a rotation of keys that was cut short.
func (h *house) rewrap(ctx context.Context) error {
	if len(h.blobs.Keys().Keys()) == 1 {
		return nil
	}
	done, err := h.blobs.Rewrap(ctx, func(blob.Rewrapped) error { return ctx.Err() })
	if done.Rows > 0 {
		h.log.InfoContext(ctx, "keys rewrapped", "blobs", done.Rows)
	}
	return err
}

func (h *house) upkeep(ctx context.Context, compact bool) error {
	began := time.Now()
	accounts, err := h.db.Accounts(ctx)
	if err != nil {
		return err
	}
	horizon := began.Add(-time.Duration(h.cfg.History.Horizon))
	for _, p := range accounts {
		err := h.db.Prune(ctx, p.Account, horizon)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && mail.KindOf(err) != mail.NotFound: // one bad account holds no other up
			h.log.ErrorContext(ctx, "upkeep: history", "account", int64(p.Account), "err", err)
		}
	}
	if err := h.rewrap(ctx); err != nil {
		return err
	}
	if err := h.ops.ResumeErasures(ctx); err != nil && ctx.Err() == nil { // it is tried again
		h.log.ErrorContext(ctx, "upkeep: erasures", "err", err)
	}
	if _, err := h.ops.ForgetRemoved(ctx, began); err != nil {
		h.log.ErrorContext(ctx, "upkeep: removed accounts", "err", err)
	}
	collected, err := h.blobs.Collect(ctx)
	if err != nil {
		return err
	}
	kept, err := sqlstore.PruneSnapshots(h.path(databaseFile), began, false)
	if err != nil {
		return err
	}
	if compact && kept == 0 { // what a snapshot names has to stay where it says
		c, err := h.blobs.Compact(ctx)
		if err != nil {
			return err
		}
		for _, b := range c.Damaged {
			h.log.ErrorContext(ctx, "damaged blob; run lockstep doctor", "size", b.Size, "place", b.Place)
		}
	}
	h.log.InfoContext(ctx, "upkeep done", "accounts", len(accounts), "blobs", collected.Forgotten, "took", time.Since(began).Round(time.Millisecond).String())
	return nil
}
