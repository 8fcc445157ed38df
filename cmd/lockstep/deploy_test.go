package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"
	"github.com/prometheus/client_golang/prometheus"
	"go.yaml.in/yaml/v3"

	"lockstep/internal/config"
	"lockstep/internal/httpd"
)

// portsOf are the ports that a configuration listens at, by protocol.
func portsOf(c config.Config) map[string]string {
	ports := map[string]string{}
	for key, at := range map[string]config.Addresses{
		"imap": c.Listen.IMAP, "imaps": c.Listen.IMAPS, "pop3": c.Listen.POP3, "pop3s": c.Listen.POP3S, "smtp": c.Listen.SMTP,
		"submission": c.Listen.Submission, "submissions": c.Listen.Submissions, "http": c.Listen.HTTP, "https": c.Listen.HTTPS,
	} {
		if len(at) > 0 {
			_, ports[key], _ = net.SplitHostPort(at[0])
		}
	}
	return ports
}

// isProbe reports whether the server answers a path as a probe.
func isProbe(path string) bool {
	s := &httpd.Server{Healthy: func(context.Context) error { return nil }, Metrics: prometheus.NewRegistry()}
	w := httptest.NewRecorder()
	s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w.Code == http.StatusOK && w.Body.String() == "ok\n"
}

// isCommand reports whether the program knows a command line.
func isCommand(t *testing.T, args ...string) error {
	t.Helper()
	var c commands
	parser, err := kong.New(&c, kong.Name("lockstep"), kong.Exit(func(int) { t.Error("it ended") }))
	if err != nil {
		t.Fatal(err)
	}
	_, err = parser.Parse(args)
	return err
}

func loadExample(t *testing.T, text string) config.Config {
	t.Helper()
	file := filepath.Join(t.TempDir(), "lockstep.toml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func readExample(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../../deploy", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// stopsWithin is how long a node with this configuration takes to stop, at most.
func stopsWithin(c config.Config, over time.Duration) time.Duration {
	d := newDeparture(time.Duration(c.Cluster.DrainNotice), over, time.Duration(c.Limits.StopTime), nil)
	return d.longest(over)
}

// What HAProxy passes on goes where nodes listen, says for whom, and stops when a node
// says that it is not ready, before the node takes no connection more.
func TestTheBalancerExampleFitsTheNodeExample(t *testing.T) {
	node := loadExample(t, readExample(t, "node.toml"))
	if len(node.Listen.Proxies) == 0 || node.Cluster.Database == "" {
		t.Fatal("the node believes no balancer, or is none of a cluster")
	}
	ports, text := portsOf(node), readExample(t, "haproxy.cfg")
	sections, listen := 0, ""
	servers := map[string]int{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		switch {
		case len(words) == 2 && words[0] == "listen":
			sections++
			if listen = words[1]; ports[listen] == "" {
				t.Errorf("nodes do not listen for %s", listen)
			}
		case len(words) == 3 && words[0] == "server":
			if servers[listen]++; !strings.HasSuffix(words[2], ":"+ports[listen]) {
				t.Errorf("%s goes to %s, and nodes listen at %s", listen, words[2], ports[listen])
			}
		case len(words) > 1 && words[0] == "bind" && words[1] != ":"+ports[listen]:
			t.Errorf("%s is taken at %s", listen, words[1])
		}
	}
	for key := range ports {
		if key != "http" && servers[key] != 3 {
			t.Errorf("%d servers for %s", servers[key], key)
		}
	}
	probe := regexp.MustCompile(`option httpchk GET (\S+)\n`).FindStringSubmatch(text)
	if probe == nil || !isProbe(probe[1]) {
		t.Errorf("what is asked is no probe: %v", probe)
	}
	def := regexp.MustCompile(`default-server check port (\d+) inter (\S+) fall (\d+) .*send-proxy-v2`).FindStringSubmatch(text)
	if def == nil || def[1] != ports["http"] {
		t.Fatalf("nodes are not looked at where they answer: %v", def)
	}
	inter, err := time.ParseDuration(def[2])
	var fall int
	fmt.Sscan(def[3], &fall)
	if notice := time.Duration(node.Cluster.DrainNotice); err != nil || inter*time.Duration(fall) >= notice {
		t.Errorf("it takes %d × %v to notice, and nodes take connections for %v", fall, inter, notice)
	}
	idle := regexp.MustCompile(`timeout client (\d+)m\n`).FindStringSubmatch(text)
	var minutes int
	if fmt.Sscan(idle[1], &minutes); time.Duration(minutes)*time.Minute <= time.Duration(node.Limits.IdleTime) {
		t.Errorf("who waits is cut off after %d minutes", minutes)
	}
	if sections < 6 {
		t.Errorf("%d sections", sections)
	}
}

func TestHAProxyTakesItsExample(t *testing.T) {
	path, err := exec.LookPath("haproxy")
	if err != nil {
		if path = "/usr/sbin/haproxy"; !isFile(path) {
			if os.Getenv("CI") == "true" {
				t.Fatal("haproxy is not installed")
			}
			t.Skip("haproxy is not installed")
		}
	}
	if out, err := exec.Command(path, "-c", "-f", "../../deploy/haproxy.cfg").CombinedOutput(); err != nil || bytes.Contains(out, []byte("WARNING")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func isFile(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// systemd takes the units, and gives a node the time that it takes to stop.
func TestTheUnitsHold(t *testing.T) {
	for _, name := range []string{"lockstep.service", "lockstep@.service"} {
		text := readExample(t, name)
		start := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/lockstep (.*)$`).FindStringSubmatch(text)
		if start == nil {
			t.Fatalf("%s starts nothing", name)
		}
		if err := isCommand(t, strings.Fields(start[1])...); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		stop := regexp.MustCompile(`(?m)^TimeoutStopSec=(.*)$`).FindStringSubmatch(text)
		bound, err := time.ParseDuration(stop[1])
		c := config.Default()
		takes := 2 * time.Duration(c.Limits.StopTime)
		if strings.Contains(name, "@") {
			c = loadExample(t, readExample(t, "node.toml"))
			takes = stopsWithin(c, time.Duration(c.Cluster.DrainTime))
		}
		if err != nil || bound < takes {
			t.Errorf("%s is killed after %v, and may take %v to stop", name, bound, takes)
		}
	}
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("systemd-analyze is not installed")
		}
		t.Skip("systemd-analyze is not installed: the units were not looked at by it")
	}
	dir := t.TempDir()
	for from, to := range map[string]string{"lockstep.service": "lockstep.service", "lockstep@.service": "lockstep@a.service"} {
		file := filepath.Join(dir, to)
		text := strings.ReplaceAll(readExample(t, from), "/usr/local/bin/lockstep", "/bin/true") // it looks whether it is there
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("systemd-analyze", "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), filepath.Base(to)+":") {
			t.Errorf("%s: %v\n%s", from, err, out)
		}
	}
}

// manifest is what is looked at of Kubernetes' objects.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Selector any
		Ports    []struct {
			Name       string
			Port       int
			TargetPort string `yaml:"targetPort"`
		}
		ServiceName    string `yaml:"serviceName"`
		Replicas       int
		MaxUnavailable int `yaml:"maxUnavailable"`
		Template       struct {
			Metadata struct{ Labels map[string]string }
			Spec     struct {
				Grace          int         `yaml:"terminationGracePeriodSeconds"`
				InitContainers []container `yaml:"initContainers"`
				Containers     []container
				Volumes        []struct{ Name string }
			}
		}
	}
}

type container struct {
	Name          string
	Command, Args []string
	Ports         []struct {
		Name          string
		ContainerPort int `yaml:"containerPort"`
	}
	StartupProbe   probe `yaml:"startupProbe"`
	LivenessProbe  probe `yaml:"livenessProbe"`
	ReadinessProbe probe `yaml:"readinessProbe"`
	Lifecycle      struct {
		PreStop struct {
			Exec struct{ Command []string }
		} `yaml:"preStop"`
	}
	VolumeMounts []struct {
		Name      string
		MountPath string `yaml:"mountPath"`
	} `yaml:"volumeMounts"`
}

type probe struct {
	HTTPGet struct{ Path, Port string } `yaml:"httpGet"`
	Period  int                         `yaml:"periodSeconds"`
	Fall    int                         `yaml:"failureThreshold"`
}

func manifests(t *testing.T) map[string]manifest {
	t.Helper()
	all, in := map[string]manifest{}, yaml.NewDecoder(strings.NewReader(readExample(t, "kubernetes.yaml")))
	for {
		var m manifest
		err := in.Decode(&m)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all[m.Kind+"/"+m.Metadata.Name] = m
	}
}

// The manifests name ports, paths, commands and times that the program has.
func TestTheManifestsFitTheProgram(t *testing.T) {
	all := manifests(t)
	set := all["StatefulSet/lockstep"].Spec
	c := loadExample(t, all["ConfigMap/lockstep"].Data["lockstep.toml"])
	pod := set.Template.Spec
	main := pod.Containers[0]
	if err := isCommand(t, main.Args...); err != nil {
		t.Error(err)
	}
	ports, named := portsOf(c), map[string]bool{}
	for _, p := range main.Ports {
		if named[p.Name] = true; ports[p.Name] != fmt.Sprint(p.ContainerPort) {
			t.Errorf("%s is %d in the pod, and %s in the configuration", p.Name, p.ContainerPort, ports[p.Name])
		}
	}
	for key := range ports {
		if !named[key] {
			t.Errorf("the pod does not name the port of %s", key)
		}
	}
	for name, m := range all {
		for _, p := range m.Spec.Ports {
			if !named[p.TargetPort] {
				t.Errorf("%s leads to %q", name, p.TargetPort)
			}
			if m.Metadata.Name == "lockstep" && p.TargetPort == "http" {
				t.Error("health and metrics are told to the internet")
			}
		}
	}
	for name, p := range map[string]probe{"startup": main.StartupProbe, "liveness": main.LivenessProbe, "readiness": main.ReadinessProbe} {
		want := map[bool]string{true: "/readyz", false: "/livez"}[name == "readiness"]
		if p.HTTPGet.Path != want || !isProbe(p.HTTPGet.Path) || p.HTTPGet.Port != "http" {
			t.Errorf("%s asks %s at %s", name, p.HTTPGet.Path, p.HTTPGet.Port)
		}
	}
	if notice := time.Duration(c.Cluster.DrainNotice); time.Duration(main.ReadinessProbe.Period*main.ReadinessProbe.Fall)*time.Second >= notice {
		t.Errorf("it takes %d × %d s to notice, and nodes take connections for %v", main.ReadinessProbe.Fall, main.ReadinessProbe.Period, notice)
	}
	drain := main.Lifecycle.PreStop.Exec.Command
	if err := isCommand(t, drain[1:]...); err != nil || drain[0] != "/lockstep" {
		t.Errorf("preStop %q: %v", drain, err)
	}
	over, err := time.ParseDuration(drain[slices.Index(drain, "--over")+1])
	if err != nil || time.Duration(pod.Grace)*time.Second < stopsWithin(c, over) {
		t.Errorf("it is killed after %d s, and may take %v", pod.Grace, stopsWithin(c, over))
	}
	if budget := all["PodDisruptionBudget/lockstep"].Spec; budget.MaxUnavailable != 1 || set.Replicas < 3 {
		t.Errorf("of %d nodes %d may be away", set.Replicas, budget.MaxUnavailable)
	}
	if all["Service/"+set.ServiceName].Kind == "" {
		t.Errorf("there is no service %q", set.ServiceName)
	}
	for name, labels := range map[string]any{"PodDisruptionBudget/lockstep": nil, "Service/lockstep": nil} {
		if labels = all[name].Spec.Selector; !strings.Contains(fmt.Sprint(labels), "app:"+set.Template.Metadata.Labels["app"]) {
			t.Errorf("%s selects %v", name, labels)
		}
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	mounted := ""
	for _, at := range append(pod.InitContainers, pod.Containers...) {
		for _, m := range at.VolumeMounts {
			if mounted += m.MountPath + "\n"; !volumes[m.Name] {
				t.Errorf("%s mounts %q", at.Name, m.Name)
			}
		}
	}
	if !strings.Contains(strings.Join(pod.InitContainers[0].Command, " "), filepath.Join(c.Data, keyFile)) {
		t.Error("the key file is not put where the server looks for it")
	}
	for _, file := range []string{c.Data, c.Cluster.PasswordFile, c.Cluster.S3.SecretKeyFile} {
		if dir := filepath.Dir(file); !strings.Contains(mounted, dir+"\n") {
			t.Errorf("%s is in no volume", file)
		}
	}
}
