package jmap

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
)

// resultReference is where an argument's value comes from (§3.7).
type resultReference struct {
	ResultOf string `json:"resultOf"`
	Name     string `json:"name"`
	Path     string `json:"path"`
}

// resolve replaces the arguments that are references to earlier results by what
// they lead to.
func (r *request) resolve(args json.RawMessage) (json.RawMessage, error) {
	if !bytes.Contains(args, []byte(`"#`)) {
		return args, nil
	}
	var all map[string]json.RawMessage
	if err := json.Unmarshal(args, &all); err != nil {
		return nil, invalidArguments("the arguments are not an object")
	}
	for name, v := range all {
		plain, isReference := strings.CutPrefix(name, "#")
		if !isReference {
			continue
		}
		if _, both := all[plain]; both {
			return nil, invalidArguments("the argument "+plain+" is given twice, also as a reference", plain)
		}
		found, err := r.follow(v)
		if err != nil {
			return nil, err
		}
		delete(all, name)
		all[plain] = found
	}
	return json.Marshal(all)
}

func badReference(detail string) error { return refused("invalidResultReference", detail) }

// follow finds what a reference leads to.
func (r *request) follow(v json.RawMessage) (json.RawMessage, error) {
	var ref resultReference
	if err := decodeStrict(v, &ref); err != nil {
		return nil, badReference("a reference has resultOf, name and path")
	}
	if len(ref.Path) > maxPointerBytes {
		return nil, badReference("the path is too long")
	}
	for _, resp := range r.responses {
		if resp.callID != ref.ResultOf {
			continue
		}
		if resp.name != ref.Name {
			return nil, badReference("the first answer to " + ref.ResultOf + " is " + resp.name)
		}
		return point(resp.args, ref.Path)
	}
	return nil, badReference("there is no answer to " + ref.ResultOf + " before this call")
}

// point follows a JSON pointer (RFC 6901) with JMAP's "*" through arrays.
func point(doc json.RawMessage, path string) (json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if path != "" && path[0] != '/' {
		return nil, badReference("a path begins with /")
	}
	var steps []string
	if path != "" {
		steps = strings.Split(path[1:], "/")
	}
	budget := maxReferenced
	found, ok := walk(v, steps, &budget)
	if !ok {
		return nil, badReference("the path leads to nothing, or to too much")
	}
	return json.Marshal(found)
}

var unescape = strings.NewReplacer("~1", "/", "~0", "~")

func walk(v any, steps []string, budget *int) (any, bool) {
	if *budget--; *budget < 0 {
		return nil, false
	}
	if len(steps) == 0 {
		return v, true
	}
	step, rest := unescape.Replace(steps[0]), steps[1:]
	switch at := v.(type) {
	case map[string]any:
		next, ok := at[step]
		if !ok {
			return nil, false
		}
		return walk(next, rest, budget)
	case []any:
		if step == "*" {
			return walkAll(at, rest, budget)
		}
		n, err := strconv.Atoi(step)
		if err != nil || n < 0 || n >= len(at) || strconv.Itoa(n) != step {
			return nil, false
		}
		return walk(at[n], rest, budget)
	}
	return nil, false
}

// walkAll goes on from each element; what are arrays become one.
func walkAll(all []any, rest []string, budget *int) (any, bool) {
	out := []any{}
	for _, v := range all {
		found, ok := walk(v, rest, budget)
		if !ok {
			return nil, false
		}
		if list, isList := found.([]any); isList {
			out = append(out, list...)
			continue
		}
		out = append(out, found)
	}
	return out, true
}
