package jmap

import (
	"encoding/json"
	"strings"
)

// setArguments are those of Foo/set (§5.3).
type setArguments struct {
	AccountID string                     `json:"accountId"`
	IfInState *string                    `json:"ifInState"`
	Create    map[string]json.RawMessage `json:"create"`
	Update    map[string]patchObject     `json:"update"`
	Destroy   []string                   `json:"destroy"`
}

// setAnswer is what Foo/set answers.
type setAnswer struct {
	AccountID    string               `json:"accountId"`
	OldState     string               `json:"oldState,omitempty"`
	NewState     string               `json:"newState"`
	Created      map[string]object    `json:"created"`
	Updated      map[string]any       `json:"updated"`
	Destroyed    []string             `json:"destroyed"`
	NotCreated   map[string]*setError `json:"notCreated"`
	NotUpdated   map[string]*setError `json:"notUpdated"`
	NotDestroyed map[string]*setError `json:"notDestroyed"`
}

// bounded is requestTooLarge for too many objects in one set.
func (c *call) bounded(a *setArguments) error {
	if len(a.Create)+len(a.Update)+len(a.Destroy) > c.srv.limits.ObjectsInSet {
		return refused("requestTooLarge", "too many objects in one call")
	}
	return nil
}

// did notes what was created; the client may refer to it from now on.
func (s *setAnswer) did(c *call, creation, id string, o object) {
	if s.Created == nil {
		s.Created = map[string]object{}
	}
	o["id"] = id
	s.Created[creation] = o
	c.created[creation] = id
}

// updated notes what was changed, with what else the server set of it; nil is nothing.
func (s *setAnswer) updated(id string, more object) {
	if s.Updated == nil {
		s.Updated = map[string]any{}
	}
	s.Updated[id] = nil
	if more != nil {
		s.Updated[id] = more
	}
}

func (s *setAnswer) notCreated(creation string, e *setError) { note(&s.NotCreated, creation, e) }
func (s *setAnswer) notUpdated(id string, e *setError)       { note(&s.NotUpdated, id, e) }
func (s *setAnswer) notDestroyed(id string, e *setError)     { note(&s.NotDestroyed, id, e) }

func note(m *map[string]*setError, id string, e *setError) {
	if *m == nil {
		*m = map[string]*setError{}
	}
	(*m)[id] = e
}

// A patchObject says how an object changes: paths to their new values (§5.3).
type patchObject map[string]json.RawMessage

// apply makes the patched object of one that holds what encoding/json would have
// made of it (maps, slices, texts …). The object itself stays as it was.
func (p patchObject) apply(o object) (object, *setError) {
	for path := range p {
		for other := range p {
			if strings.HasPrefix(other, path+"/") {
				return nil, &setError{Type: "invalidPatch", Description: "the patch changes " + other + " and also what it is in"}
			}
		}
	}
	out := deepCopy(map[string]any(o)).(map[string]any)
	for path, raw := range p {
		var v any
		if err := json.Unmarshal(raw, &v); err != nil {
			return nil, invalidProperties("it is no JSON", path)
		}
		if !patch(out, strings.Split(path, "/"), v) {
			return nil, &setError{Type: "invalidPatch", Description: "there is nothing at " + path, Properties: []string{path}}
		}
	}
	return out, nil
}

// patch sets the value at a path whose last step need not be there; null removes it.
// A patch never reaches into an array.
func patch(at map[string]any, steps []string, v any) bool {
	step := unescape.Replace(steps[0])
	if len(steps) == 1 {
		if v == nil {
			delete(at, step)
			return true
		}
		at[step] = v
		return true
	}
	next, ok := at[step].(map[string]any)
	return ok && patch(next, steps[1:], v)
}

func deepCopy(v any) any {
	switch v := v.(type) {
	case object:
		return deepCopy(map[string]any(v))
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, in := range v {
			out[name] = deepCopy(in)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, in := range v {
			out[i] = deepCopy(in)
		}
		return out
	}
	return v
}
