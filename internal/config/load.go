package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// Find returns the file to read: the one named, else the one in the environment,
// else the usual one if it is there, else "".
func Find(named string) string {
	if named != "" {
		return named
	}
	if p := os.Getenv(PathVariable); p != "" {
		return p
	}
	if _, err := os.Stat(DefaultPath); err == nil {
		return DefaultPath
	}
	return ""
}

// Load reads a file over the defaults; "" is the defaults alone.
func Load(path string) (Config, error) {
	c := Default()
	if path == "" {
		return c, c.check()
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s is not there: name another with --config, or write it with: lockstep config print --defaults > %s", path, path)
	}
	if err != nil {
		return c, err
	}
	if err := c.parse(string(text)); err != nil {
		return c, fmt.Errorf("%s%w", path, err)
	}
	return c, nil
}

// parse reads text over c. Its errors begin with ":line: " where a line is to
// blame.
func (c *Config) parse(text string) error {
	md, err := toml.Decode(text, c)
	var perr toml.ParseError
	if errors.As(err, &perr) {
		return fmt.Errorf(":%d: %s", perr.Position.Line, describe(perr))
	}
	if m := typeError.FindStringSubmatch(fmt.Sprint(err)); m != nil {
		return fmt.Errorf(":%s: %s: %s", m[1], m[2], m[3])
	}
	if err != nil {
		return fmt.Errorf(": %w", err)
	}
	for name, p := range c.Policy {
		c.Policy[name] = p.orDefault()
	}
	var bad []error
	for _, k := range unknown(md) {
		bad = append(bad, unknownKey(text, k, c.keys()))
	}
	if err := c.check(); err != nil && len(bad) == 0 {
		return fmt.Errorf(": %w", err)
	}
	return errors.Join(bad...)
}

// typeError is how the decoder words a value of the wrong type.
var typeError = regexp.MustCompile(`^toml: line (\d+) \(last key "([^"]*)"\): (.*)$`)

func describe(e toml.ParseError) string {
	if e.LastKey == "" {
		return e.Message
	}
	return fmt.Sprintf("%s: %s", e.LastKey, e.Message)
}

// unknown returns the keys that mean nothing: of an unknown table only the table.
func unknown(md toml.MetaData) []toml.Key {
	var keys []toml.Key
	for _, k := range md.Undecoded() {
		inside := slices.ContainsFunc(keys, func(t toml.Key) bool {
			return len(t) < len(k) && slices.Equal(t, k[:len(t)])
		})
		if !inside {
			keys = append(keys, k)
		}
	}
	return keys
}

func unknownKey(text string, k toml.Key, known []string) error {
	hint := ""
	if near := nearest(k.String(), known); near != "" {
		hint = fmt.Sprintf("; did you mean %q?", near)
	}
	return fmt.Errorf(":%d: unknown key %q%s", lineOf(text, k), k.String(), hint)
}

// lineOf finds the line that sets a key or opens a table.
func lineOf(text string, key toml.Key) int {
	want, table := key.String(), ""
	for i, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "["); ok {
			name, _, _ = strings.Cut(strings.TrimPrefix(name, "["), "]")
			table = strings.TrimSpace(name) + "."
			if table == want+"." {
				return i + 1
			}
			continue
		}
		name, _, ok := strings.Cut(line, "=")
		full := table + strings.TrimSpace(name)
		if ok && (full == want || strings.HasPrefix(full, want+".")) {
			return i + 1
		}
	}
	return 1
}

// maxHintDistance is how unlike a key may be and still be meant.
const maxHintDistance = 4

// nearest returns the known key least unlike name, "" if none is like it. A known
// last word in the wrong table counts as near.
func nearest(name string, known []string) string {
	last := name[strings.LastIndexByte(name, '.')+1:]
	best, bestDistance := "", maxHintDistance
	for _, k := range known {
		d := editDistance(name, k)
		if k[strings.LastIndexByte(k, '.')+1:] == last {
			d = min(d, 2)
		}
		if d < bestDistance {
			best, bestDistance = k, d
		}
	}
	return best
}

// editDistance is how many letters have to be put in, left out, changed or
// swapped with their neighbour.
func editDistance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := d[i-1][j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			d[i][j] = min(change, d[i-1][j]+1, d[i][j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
