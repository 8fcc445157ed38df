package jmap

import (
	"slices"
)

// An object is a JMAP object as clients see it, or the part of it they asked for.
type object map[string]any

// getArguments are those of Foo/get (§5.1).
type getArguments struct {
	AccountID  string    `json:"accountId"`
	IDs        *[]string `json:"ids"`
	Properties *[]string `json:"properties"`
}

// getAnswer is what Foo/get answers.
type getAnswer struct {
	AccountID string   `json:"accountId"`
	State     string   `json:"state"`
	List      []object `json:"list"`
	NotFound  []string `json:"notFound"`
}

func newGetAnswer(account string) *getAnswer {
	return &getAnswer{AccountID: account, List: []object{}, NotFound: []string{}}
}

// wantedIDs are the ids asked for, each once, with references to what was created
// resolved; those that name nothing stay as they are, and are not found. All is true
// when every object is wanted.
func (c *call) wantedIDs(ids *[]string) (wanted []string, all bool, err error) {
	if ids == nil {
		return nil, true, nil
	}
	if len(*ids) > c.srv.limits.ObjectsInGet {
		return nil, false, refused("requestTooLarge", "too many ids in one call")
	}
	seen := map[string]bool{}
	for _, said := range *ids {
		id, ok := c.idOf(said)
		if !ok {
			id = said
		}
		if !seen[id] {
			seen[id] = true
			wanted = append(wanted, id)
		}
	}
	return wanted, false, nil
}

// wantedProperties are the properties asked for, with id; those that the type does
// not have are invalidArguments. Nil is all.
func wantedProperties(asked *[]string, known, standard []string) ([]string, error) {
	if asked == nil {
		return standard, nil
	}
	out := []string{"id"}
	for _, p := range *asked {
		if !slices.Contains(known, p) {
			return nil, invalidArguments("there is no property "+p, "properties")
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out, nil
}

// only is the object with no more than the properties.
func (o object) only(properties []string) object {
	out := make(object, len(properties))
	for _, p := range properties {
		if v, ok := o[p]; ok {
			out[p] = v
		}
	}
	return out
}
