package sqlstore

import (
	"context"
	"fmt"
	"testing"

	"lockstep/internal/store"
)

func TestADatabaseWithoutADirectoryGetsOne(t *testing.T) {
	h := newHome(t, Options{})
	if err := h.SetName(t.Context(), h.id, "Ann Example"); err != nil {
		t.Fatal(err)
	}
	ask := func() int {
		people, err := h.People(t.Context(), store.PeopleQuery{Asker: h.id, Text: "exa ann", Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		return len(people)
	}
	if err := h.write(t.Context(), directoryLane, func(c conn) error { return c.script("DELETE FROM person") }, nil); err != nil {
		t.Fatal(err)
	}
	if n := ask(); n != 0 {
		t.Fatalf("%d found without the words", n)
	}
	if err := h.listPeople(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := ask(); n != 1 {
		t.Errorf("%d found, want 1", n)
	}
}

// BenchmarkPeople asks a directory of 100 000.
func BenchmarkPeople(b *testing.B) {
	h := newHome(b, Options{})
	err := h.write(context.Background(), directoryLane, func(c conn) error {
		for i := range 100_000 {
			p := store.Principal{ID: store.PrincipalID(1000 + i), Login: fmt.Sprintf("user%d@example.test", i), Name: fmt.Sprintf("Given%d Family%d", i%300, i)}
			if _, err := c.exec(insertPrincipal, int64(p.ID), p.Login, 1000+i, p.Name); err != nil {
				return err
			}
			a := store.Address{Local: fmt.Sprintf("user%d", i), Domain: "example.test"}
			if _, err := c.exec(insertAddress, a.Domain, a.Local, 1000+i, false); err != nil {
				return err
			}
			if err := listPerson(c, p, a); err != nil {
				return err
			}
		}
		return nil
	}, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, text := range []string{"family77777", "given12 family", "u", "given fam"} {
		b.Run(text, func(b *testing.B) {
			for b.Loop() {
				if _, err := h.People(b.Context(), store.PeopleQuery{Asker: h.id, Text: text, Limit: 100}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
