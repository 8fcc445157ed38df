package config

import (
	"slices"
	"strings"
	"testing"
)

func TestFingerprintTellsWhatShouldBeAlike(t *testing.T) {
	base := Default()
	for name, c := range map[string]struct {
		change func(*Config)
		alike  bool
	}{
		"nothing":      {func(*Config) {}, true},
		"the name":     {func(c *Config) { c.Hostname = "other" }, true},
		"an address":   {func(c *Config) { c.Listen.IMAP = Addresses{"127.0.0.1:9"} }, true},
		"the node":     {func(c *Config) { c.Cluster.Node = "b" }, true},
		"a limit":      {func(c *Config) { c.Limits.Recipients++ }, false},
		"the guard":    {func(c *Config) { c.Guard.Share++ }, false},
		"the database": {func(c *Config) { c.Cluster.Database = "postgres://other" }, false},
		"a policy": {func(c *Config) {
			p := c.Policy["default"]
			p.MaxDevices++
			c.Policy = map[string]Policy{"default": p}
		}, false},
	} {
		other := Default()
		c.change(&other)
		if got := base.Fingerprint() == other.Fingerprint(); got != c.alike {
			t.Errorf("%s: alike %v, want %v", name, got, c.alike)
		}
	}
}

// What a node has of its own is a key that there is.
func TestEveryKeyOfANodeIsOne(t *testing.T) {
	c := Default()
	keys := c.keys()
	for _, own := range ofNode {
		if !slices.ContainsFunc(keys, func(k string) bool { return k == own || strings.HasSuffix(own, ".") && strings.HasPrefix(k, own) }) {
			t.Errorf("there is no key %s", own)
		}
	}
}

func TestNetworks(t *testing.T) {
	c := Default()
	if err := c.parse("[listen]\nproxies = [\"10.1.2.3/8\", \"192.0.2.1\", \"2001:db8::/32\"]\n"); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range c.Listen.Proxies.Prefixes() {
		got = append(got, p.String())
	}
	if want := "10.0.0.0/8 192.0.2.1/32 2001:db8::/32"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
	for _, bad := range []string{`"x"`, `7`, `["10.0.0.0/99"]`, `[7]`} {
		if err := c.parse("[listen]\nproxies = " + bad + "\n"); err == nil || !strings.Contains(err.Error(), "neither a network") {
			t.Errorf("%s: %v", bad, err)
		}
	}
}
