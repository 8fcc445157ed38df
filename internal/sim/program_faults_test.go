package sim

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
)

// programsTold is a fault in what programs are told: change is given the arguments of
// each answer. Event sources are let through.
func programsTold(change func(method string, args map[string]any)) Fault {
	return Fault{Programs: func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method != http.MethodPost {
				next.ServeHTTP(w, r)
				return
			}
			rec := httptest.NewRecorder()
			next.ServeHTTP(rec, r)
			var answer map[string]any
			d := json.NewDecoder(bytes.NewReader(rec.Body.Bytes()))
			d.UseNumber()
			body := rec.Body.Bytes()
			if d.Decode(&answer) == nil {
				responses, _ := answer["methodResponses"].([]any)
				for _, resp := range responses {
					parts := resp.([]any)
					change(parts[0].(string), parts[1].(map[string]any))
				}
				body, _ = json.Marshal(answer)
			}
			maps.Copy(w.Header(), rec.Header())
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			w.WriteHeader(rec.Code)
			_, _ = w.Write(body)
		})
	}}
}

// shortened leaves the last out of a list.
func shortened(args map[string]any, list string) {
	if all, ok := args[list].([]any); ok && len(all) > 0 {
		args[list] = all[:len(all)-1]
	}
}

// plantedPrograms are the faults that programs have to find.
func plantedPrograms() map[string]Fault {
	var count atomic.Int64
	seldom := func() bool { return count.Add(1)%3 == 0 }
	leftOut := func(method, list string) Fault {
		return programsTold(func(m string, args map[string]any) {
			if m == method && seldom() {
				shortened(args, list)
			}
		})
	}
	return map[string]Fault{
		"a created email is not told":   leftOut("Email/changes", "created"),
		"an updated email is not told":  leftOut("Email/changes", "updated"),
		"a destroyed email is not told": leftOut("Email/changes", "destroyed"),
		"an email is told as created again": programsTold(func(m string, args map[string]any) {
			if m == "Email/changes" {
				updated, _ := args["updated"].([]any)
				created, _ := args["created"].([]any)
				args["created"], args["updated"] = append(created, updated...), []any{}
			}
		}),
		"that there is more is forgotten": programsTold(func(m string, args map[string]any) {
			if m == "Email/changes" && args["hasMoreChanges"] == true {
				args["hasMoreChanges"] = false
				args["newState"] = "1." + strings.Split(strings.SplitN(args["newState"].(string), ".", 2)[1]+"-0-0", "-")[1]
			}
		}),
		"a keyword is not shown": programsTold(func(m string, args map[string]any) {
			list, _ := args["list"].([]any)
			for _, e := range list {
				if keywords, ok := e.(map[string]any)["keywords"].(map[string]any); ok {
					delete(keywords, "$flagged")
				}
			}
		}),
		"a mailbox is not told": leftOut("Mailbox/changes", "updated"),
		"nothing is told by events": {Programs: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "eventsource") {
					r.URL.RawQuery = "types=Thread&closeafter=no&ping=0"
				}
				next.ServeHTTP(w, r)
			})
		}},
	}
}

// programs is a plan in which they are most of the devices.
func programs(seed uint64) Plan { return from(14, NewPlan(seed, 1, 5, 150)) }

func TestFaultsPlantedForProgramsAreFound(t *testing.T) {
	find(t, plantedPrograms, programs, nil)
}
