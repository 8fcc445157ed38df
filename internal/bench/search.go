package bench

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What is searched for. The common word is in nearly every letter, the rare one is
// a number that some subjects, ids and signatures have.
const (
	commonWord = "meeting"
	rareWord   = "7351"
)

// catchUp waits until what follows the mail at its own pace has come up: what loading
// left to be done is no part of what is measured, and would hinder the other server.
func (s *site) catchUp(ctx context.Context) error {
	if f, ok := s.server.(interface{ awaitIndex(context.Context) error }); ok {
		return f.awaitIndex(ctx)
	}
	return nil
}

// searchText is SEARCH TEXT over the middle INBOX.
func searchText(ctx context.Context, s *site) ([]figure, error) {
	if err := s.catchUp(ctx); err != nil {
		return nil, err
	}
	c, _, err := s.dialInbox(midAccount)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var figures []figure
	for _, w := range []struct {
		word, name string
		least      int
	}{{rareWord, rareMS, 0}, {commonWord, commonMS, s.sizes.mid / 2}} {
		found := 0
		spent, err := s.timed(func() error {
			return c.do("SEARCH TEXT "+w.word, func(line []byte) {
				if rest, ok := bytes.CutPrefix(line, []byte("* SEARCH")); ok {
					found = len(bytes.Fields(rest))
				}
			})
		})
		if err == nil && found < w.least {
			err = fmt.Errorf("%s found %q in %d of %d messages", s.name(), w.word, found, s.sizes.mid)
		}
		if err != nil {
			return nil, err
		}
		figures = append(figures, figure{w.name, milliseconds(spent.elapsed)})
	}
	return figures, nil
}

// awaitIndex waits until the search index has seen all mail.
func (l *lockstep) awaitIndex(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		n, err := l.metric(ctx, "search_lag_accounts")
		if err != nil || n == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the search index is %v accounts behind: %w", n, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// metric reads one number that the server tells of itself.
func (l *lockstep) metric(ctx context.Context, name string) (float64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/metrics", l.http), nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("no metric %s", name)
}
