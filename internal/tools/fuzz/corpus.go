package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// maxInputs and maxBytes bound what is kept of a target's corpus, as it lies in the
	// repository and is run by each go test.
	maxInputs = 50
	maxBytes  = 256 << 10

	keptPrefix  = "reach-" // names what this program keeps; all else in the folder stays
	triedPrefix = "try-"   // names what is being measured
)

// An input is one file of a corpus, in Go's encoding.
type input struct {
	name string // of the file in Go's cache, or as it was kept
	text []byte
}

// readInputs reads the files of dir whose names satisfy wanted. No dir has none.
func readInputs(dir string, wanted func(name string) bool) ([]input, error) {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var all []input
	for _, e := range entries {
		if e.IsDir() || !wanted(e.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			return nil, err
		}
		all = append(all, input{strings.TrimPrefix(e.Name(), keptPrefix), text})
	}
	return all, err
}

// A sieve finds the inputs that reach something new.
type sieve struct {
	w     *workshop
	t     target
	known coverage
}

// try measures the inputs together.
func (s *sieve) try(ctx context.Context, inputs []input) (_ coverage, err error) {
	defer func() { err = errors.Join(err, removeAll(s.t.corpus(), triedPrefix)) }()
	if err := os.MkdirAll(s.t.corpus(), 0o755); err != nil {
		return nil, err
	}
	for i, in := range inputs {
		if err := os.WriteFile(filepath.Join(s.t.corpus(), fmt.Sprintf("%s%d", triedPrefix, i)), in.text, 0o644); err != nil {
			return nil, err
		}
	}
	return s.w.measure(ctx, s.t, "^"+triedPrefix)
}

// A finding is an input, and what it alone reaches.
type finding struct {
	input
	reaches coverage
}

// sift returns those of the inputs that reach what is not known by then, and knows it
// afterwards. It halves them, so that many that reach nothing new cost one run. Those of
// other types are left out.
func (s *sieve) sift(ctx context.Context, inputs []input) ([]finding, error) {
	if len(inputs) == 0 {
		return nil, nil
	}
	reached, err := s.try(ctx, inputs)
	mixed := errors.Is(err, errOtherTypes)
	switch {
	case mixed && len(inputs) == 1:
		return nil, nil
	case err != nil && !mixed:
		return nil, err
	case !mixed && s.known.lacks(reached) == 0:
		return nil, nil
	case len(inputs) == 1:
		s.known.add(reached)
		return []finding{{inputs[0], reached}}, nil
	}
	half := len(inputs) / 2
	first, err := s.sift(ctx, inputs[:half])
	if err != nil {
		return nil, err
	}
	second, err := s.sift(ctx, inputs[half:])
	return append(first, second...), err
}

// greedy takes the finding that reaches the most that is new, and again, until none
// does or the bounds are reached.
func greedy(known coverage, found []finding) []input {
	var kept []input
	var size int
	for len(kept) < maxInputs {
		best, most := -1, 0
		for i, f := range found {
			if n := known.lacks(f.reaches); n > most && size+len(f.text) <= maxBytes {
				best, most = i, n
			}
		}
		if best < 0 {
			break
		}
		known.add(found[best].reaches)
		kept, size = append(kept, found[best].input), size+len(found[best].text)
	}
	return kept
}

// keep makes the target's corpus anew, out of what was kept and what Go's cache has.
// Inputs of any other name stay: they were failures once.
func (w *workshop) keep(ctx context.Context, t target) error {
	seeds, err := w.measure(ctx, t, "^(seed#|[0-9a-f]{16}$)")
	if err != nil {
		return err
	}
	inputs, err := w.candidates(ctx, t)
	if err != nil {
		return err
	}
	known := coverage{}
	known.add(seeds)
	found, err := (&sieve{w, t, known}).sift(ctx, inputs)
	if err != nil {
		return err
	}
	kept := greedy(seeds, found)
	if err := removeAll(t.corpus(), keptPrefix); err != nil {
		return err
	}
	for _, in := range kept {
		if err := os.WriteFile(filepath.Join(t.corpus(), keptPrefix+in.name), in.text, 0o644); err != nil {
			return err
		}
	}
	fmt.Printf("%s: %d of %d inputs kept\n", t, len(kept), len(inputs))
	return removeEmpty(t.corpus())
}

// candidates are what was kept before and what Go's cache has, the small ones first.
func (w *workshop) candidates(ctx context.Context, t target) ([]input, error) {
	kept, err := readInputs(t.corpus(), func(name string) bool { return strings.HasPrefix(name, keptPrefix) })
	if err != nil {
		return nil, err
	}
	cache, err := cacheDir(ctx, t)
	if err != nil {
		return nil, err
	}
	fresh, err := readInputs(filepath.Join(cache, t.name), func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	inputs := append(kept, fresh...)
	slices.SortStableFunc(inputs, func(a, b input) int { return cmp.Compare(len(a.text), len(b.text)) })
	return inputs, nil
}

// removeAll removes the files of dir whose names begin with prefix.
func removeAll(dir, prefix string) error {
	names, err := filepath.Glob(filepath.Join(dir, prefix+"*"))
	for _, name := range names {
		err = errors.Join(err, os.Remove(name))
	}
	return err
}

// removeEmpty removes the folder of a corpus, and those above it that are for corpora
// alone, if nothing is in them.
func removeEmpty(dir string) error {
	for range 3 {
		entries, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || len(entries) > 0 {
			return err
		}
		if err := os.Remove(dir); err != nil {
			return err
		}
		dir = filepath.Dir(dir)
	}
	return nil
}

// keepAll makes the corpora of the targets anew, and writes the ledger.
func (w *workshop) keepAll(ctx context.Context, chosen, all []target) error {
	book, err := openLedger(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, t := range chosen {
		err := w.keep(ctx, t)
		if err == nil {
			err = w.enter(ctx, book, t)
		}
		failed = append(failed, err, book.write(all))
		if ctx.Err() != nil {
			break
		}
	}
	return errors.Join(failed...)
}

// enter measures what the target's corpus reaches, seeds and all, for the ledger.
func (w *workshop) enter(ctx context.Context, book *ledger, t target) error {
	c, err := w.measure(ctx, t, ".")
	if err != nil {
		return err
	}
	funcs, err := byFunction(c)
	if err != nil {
		return err
	}
	kept, err := readInputs(t.corpus(), func(string) bool { return true })
	if err != nil {
		return err
	}
	whole, entered := portions(funcs)
	e := book.of(t)
	e.kept, e.whole, e.entered, e.measured = len(kept), whole.String(), entered.String(), true
	return nil
}
