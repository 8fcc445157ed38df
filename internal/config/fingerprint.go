package config

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// ofNode are the keys that each node may have of its own; one that ends in a dot is a
// table.
var ofNode = []string{"data", "hostname", "listen.", "tls.cert", "tls.key", "tls.acme_roots", "log.", "cluster.node", "cluster.cache", "cluster.password_file", "cluster.s3.secret_key_file",
	"outgoing.relay_password_file", "backup.scratch", "backup.s3.secret_key_file", "limits.index_memory"}

// Fingerprint is a short word that two nodes have in common if all is set alike that
// should be: policies, limits, the guard, where things are kept. Nodes of different
// versions may differ in it.
func (c Config) Fingerprint() string {
	sum := sha256.New()
	walk(reflect.ValueOf(c), "", func(key, _ string, v reflect.Value, table bool) {
		own := slices.ContainsFunc(ofNode, func(k string) bool {
			return key == k || strings.HasSuffix(k, ".") && strings.HasPrefix(key, k)
		})
		if !own && !table {
			fmt.Fprintf(sum, "%s = %s\n", key, spell(v))
		}
	})
	return hex.EncodeToString(sum.Sum(nil)[:6])
}
