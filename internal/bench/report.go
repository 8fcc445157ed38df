package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Report is all that was measured, and on what.
type Report struct {
	Processor  string
	Cores      int
	MemoryMB   int64
	Kernel     string
	FileSystem string
	LoadBefore string // of the machine, before anything ran
	Versions   []string
	Floor      Floor
	Rows       []Row
}

// A Row is one figure of one workload on both servers.
type Row struct {
	Workload string
	About    string
	Figure   string
	Lockstep []float64 // each run
	Dovecot  []float64 `json:",omitempty"`
	Node     []float64 `json:",omitempty"` // Lockstep on PostgreSQL
	Ratio    float64   `json:",omitempty"` // of the medians, Lockstep's to Dovecot's
	Goal     string    `json:",omitempty"`
	Met      string    `json:",omitempty"` // "yes", "no", or "" when there is no goal or nothing to compare with
	NodeGoal string    `json:",omitempty"`
	NodeMet  string    `json:",omitempty"`
	Errors   []string  `json:",omitempty"`
}

// describe looks at the machine and the servers.
func describe(dir string, sites []*site) *Report {
	r := &Report{Cores: runtime.NumCPU(), Processor: firstValue("/proc/cpuinfo", "model name"), Kernel: firstLine("/proc/sys/kernel/osrelease"),
		FileSystem: fileSystem(dir), LoadBefore: firstLine("/proc/loadavg")}
	if kb, err := statusKB("/proc/meminfo", "MemTotal"); err == nil {
		r.MemoryMB = kb / 1024
	}
	for _, s := range sites {
		r.Versions = append(r.Versions, s.name()+": "+s.version())
	}
	return r
}

func firstLine(path string) string {
	text, _ := os.ReadFile(path)
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

func firstValue(path, key string) string {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(v)
		}
	}
	return "unknown"
}

// fileSystem names the type and options of what dir lies on.
func fileSystem(dir string) string {
	out, err := exec.Command("findmnt", "-n", "-o", "FSTYPE,OPTIONS", "--target", dir).Output()
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// add makes the rows of one workload.
func (r *Report) add(w workload, results []*result) {
	byServer := map[string]*result{}
	var names, errs []string
	for _, res := range results {
		byServer[res.server] = res
		if len(res.names) > len(names) {
			names = res.names
		}
		if res.err != nil {
			errs = append(errs, res.server+": "+res.err.Error())
		}
	}
	if len(names) == 0 {
		names = []string{""}
	}
	for i, name := range names {
		row := Row{Workload: w.name, About: w.about, Figure: name}
		if i == 0 {
			row.Errors = errs
		}
		if res := byServer["Lockstep"]; res != nil {
			row.Lockstep = res.runs[name]
		}
		if res := byServer["Dovecot"]; res != nil {
			row.Dovecot = res.runs[name]
		}
		if res := byServer[nodeName]; res != nil {
			row.Node = res.runs[name]
		}
		row.judge(r.Floor)
		r.Rows = append(r.Rows, row)
	}
}

// judge fills in the ratio and whether the goal is met.
func (row *Row) judge(f Floor) {
	ours, peers := median(row.Lockstep), median(row.Dovecot)
	if len(row.Lockstep) > 0 && peers != 0 {
		row.Ratio = ours / peers
	}
	key := [2]string{row.Workload, row.Figure}
	if g, ok := goals[key]; ok {
		row.Goal, row.Met = g.text, g.judge(row.Lockstep, row.Dovecot, f)
	}
	if g, ok := nodeGoals[key]; ok && len(row.Node) > 0 {
		row.NodeGoal, row.NodeMet = g.text, g.judge(row.Node, row.Dovecot, f)
	}
}

// judge says whether a goal was reached: "yes", "no", or "" when that can't be told.
func (g goal) judge(ours, peers []float64, f Floor) string {
	switch {
	case len(ours) == 0 || g.needsPeer && len(peers) == 0:
		return ""
	case g.met(median(ours), median(peers), f):
		return "yes"
	}
	return "no"
}

// Missed counts the goals that were measured and not reached.
func (r *Report) Missed() int {
	n := 0
	for _, row := range r.Rows {
		if row.Met == "no" {
			n++
		}
		if row.NodeMet == "no" {
			n++
		}
	}
	return n
}

// Print writes the report as text that is also a Markdown table.
func (r *Report) Print(w io.Writer) error {
	head := fmt.Sprintf("%s, %d cores, %d MB; Linux %s; %s; load before %s\n%s\nFloor: fdatasync of 4 KiB appended p50 %.3f ms, p99 %.3f ms, rested p50 %.3f ms; round trip on loopback %.3f ms\n\n",
		r.Processor, r.Cores, r.MemoryMB, r.Kernel, r.FileSystem, r.LoadBefore, strings.Join(r.Versions, "\n"), r.Floor.SyncP50, r.Floor.SyncP99, r.Floor.RestedP50, r.Floor.RoundTripP50)
	cells := [][]string{{"workload", "figure", "Lockstep", "Dovecot", "ratio", "goal", "met"}}
	for _, row := range r.Rows {
		cells = append(cells, []string{row.Workload, row.Figure, number(row.Lockstep), number(row.Dovecot), ratio(row.Ratio), row.Goal, row.Met})
	}
	if _, err := io.WriteString(w, head+table(cells)+r.nodes()); err != nil {
		return err
	}
	for _, row := range r.Rows {
		for _, e := range row.Errors {
			if _, err := fmt.Fprintf(w, "\n%s failed on %s\n", row.Workload, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// nodes is a table of what a node on PostgreSQL did, beside the others; "" if there was
// none.
func (r *Report) nodes() string {
	cells := [][]string{{"workload", "figure", nodeName, "Dovecot", "ratio", "SQLite", "ratio", "goal", "met"}}
	for _, row := range r.Rows {
		if len(row.Node) == 0 {
			continue
		}
		cells = append(cells, []string{row.Workload, row.Figure, number(row.Node), number(row.Dovecot), ratioOf(row.Node, row.Dovecot),
			number(row.Lockstep), ratioOf(row.Node, row.Lockstep), row.NodeGoal, row.NodeMet})
	}
	if len(cells) == 1 {
		return ""
	}
	return "\nOne node on PostgreSQL, beside Dovecot and beside Lockstep with a database of its own:\n\n" + table(cells)
}

func ratioOf(a, b []float64) string {
	if len(a) == 0 || median(b) == 0 {
		return ""
	}
	return ratio(median(a) / median(b))
}

func number(runs []float64) string {
	if len(runs) == 0 {
		return "–"
	}
	v := median(runs)
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v >= 10:
		return strconv.FormatFloat(v, 'f', 1, 64)
	default:
		return strconv.FormatFloat(v, 'f', 3, 64)
	}
}

func ratio(v float64) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%.2f×", v)
}

// table aligns cells; the first row is the head.
func table(cells [][]string) string {
	widths := make([]int, len(cells[0]))
	for _, line := range cells {
		for i, c := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for i, line := range cells {
		for k, c := range line {
			b.WriteString("| " + c + strings.Repeat(" ", widths[k]-utf8.RuneCountInString(c)+1))
		}
		b.WriteString("|\n")
		if i == 0 {
			for _, n := range widths {
				b.WriteString("|" + strings.Repeat("-", n+2))
			}
			b.WriteString("|\n")
		}
	}
	return b.String()
}
