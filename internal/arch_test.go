package internal

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A layer imports itself and what lies below it.
const (
	ground   = iota // mail and what knows nothing of mail
	formats         // bytes to values: pure functions
	engines         // where things are kept, and who is told
	services        // what happens to mail, and who may
	views           // protocols: each only translates, none imports another
	program         // flags, config, wiring, and what drives the whole
)

// layers places every package; one below a placed package is in the same layer.
var layers = map[string]int{
	"internal/mail":      ground,
	"internal/lang":      ground,
	"internal/vfs":       ground,
	"internal/steady":    ground,
	"internal/freeport":  ground,
	"internal/message":   formats,
	"internal/pim":       formats,
	"internal/mailfile":  formats,
	"internal/demo":      formats,
	"internal/blob":      engines,
	"internal/store":     engines,
	"internal/notify":    engines,
	"internal/s3":        engines,
	"internal/lot":       engines,
	"internal/longpoll":  engines,
	"internal/proxied":   engines,
	"internal/auth":      services,
	"internal/device":    services,
	"internal/hourly":    engines,
	"internal/delivery":  services,
	"internal/search":    services,
	"internal/transfer":  services,
	"internal/backup":    services,
	"internal/past":      services,
	"internal/undo":      services,
	"internal/upkeep":    services,
	"internal/cluster":   services,
	"internal/certs":     services,
	"internal/migrate":   services,
	"internal/imap":      views,
	"internal/pop3":      views,
	"internal/smtp":      views,
	"internal/jmap":      views,
	"internal/eas":       views,
	"internal/dav":       views,
	"internal/httpd":     views,
	"internal/signin":    views,
	"internal/admin":     views,
	"web":                views,
	"internal/config":    program,
	"internal/sim":       program,
	"internal/bench":     program,
	"internal/e2e":       program,
	"internal/crashtest": program,
	"internal/releases":  program,
	"internal/tools":     program,
	"internal":           program,
	"cmd":                program,
}

const module = "lockstep/"

// place finds the placed package that pkg is or lies below.
func place(pkg string) (room string, layer int, ok bool) {
	for p := pkg; p != "." && p != "internal"; p = path.Dir(p) {
		if l, ok := layers[p]; ok {
			return p, l, true
		}
	}
	return "internal", layers["internal"], pkg == "internal"
}

// objection says why from may not import to; "" when it may.
func objection(from, to string) string {
	fromRoom, fromLayer, ok := place(from)
	if !ok {
		return fmt.Sprintf("%s has no layer: give it one in internal/arch_test.go", from)
	}
	toRoom, toLayer, ok := place(to)
	switch {
	case !ok:
		return fmt.Sprintf("%s has no layer: give it one in internal/arch_test.go", to)
	case from == "internal/mail":
		return "mail is the ground: it imports the standard library only"
	case fromRoom == toRoom:
		return ""
	case toLayer > fromLayer:
		return "the arrow points back: what lies below must not know what is built on it"
	case toLayer == views && fromLayer == views:
		return "no view imports another: what both want belongs in mail, message or store"
	case toRoom == "internal/config" && fromRoom != "cmd" && fromRoom != "internal/e2e":
		return "only cmd reads the configuration: packages get fields"
	}
	return ""
}

// imports lists what of this module each package imports, tests left out: they
// may look at anything.
func imports(t *testing.T) map[string][]string {
	found := map[string][]string{}
	for _, root := range []string{".", "../cmd"} {
		err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
				return err
			}
			pkg := path.Clean(path.Join("internal", filepath.ToSlash(filepath.Dir(file))))
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			found[pkg] = append(found[pkg], []string{}...) // also a package that imports nothing of ours
			for _, spec := range parsed.Imports {
				name, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					return err
				}
				if to, ok := strings.CutPrefix(name, module); ok {
					found[pkg] = append(found[pkg], to)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

func TestImportsRunOneWay(t *testing.T) {
	for from, list := range imports(t) {
		if why := objection(from, from); why != "" && from != "internal/mail" {
			t.Error(why)
		}
		for _, to := range slices.Compact(slices.Sorted(slices.Values(list))) {
			if why := objection(from, to); why != "" {
				t.Errorf("%s imports %s: %s", from, to, why)
			}
		}
	}
}

func TestArrowsThatPointBackAreRefused(t *testing.T) {
	for _, c := range []struct {
		from, to string
		allowed  bool
	}{
		{"cmd/lockstep", "internal/imap", true},
		{"internal/imap", "internal/store", true},
		{"internal/imap", "internal/imap/wire", true},
		{"internal/store/sqlstore", "internal/store", true},
		{"internal/store", "internal/imap", false},
		{"internal/imap", "internal/smtp", false},
		{"internal/imap/wire", "internal/jmap", false},
		{"internal/mail", "internal/message", false},
		{"internal/smtp", "internal/config", false},
		{"internal/admin", "internal/config", false},
		{"internal/unheard-of", "internal/mail", false},
	} {
		if why := objection(c.from, c.to); (why == "") != c.allowed {
			t.Errorf("%s imports %s: allowed is %v, objection %q", c.from, c.to, c.allowed, why)
		}
	}
}
