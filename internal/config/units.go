package config

import (
	"fmt"
	"math"
	"net"
	"strconv"
	"strings"
	"time"
)

// Duration is a time with its unit, such as "30s", "10m", "36h" or "30d".
type Duration time.Duration

const day = 24 * time.Hour

// UnmarshalText reads a duration: Go's, or whole days.
func (d *Duration) UnmarshalText(text []byte) error {
	s := string(text)
	if n, ok := strings.CutSuffix(s, "d"); ok {
		days, err := strconv.ParseUint(n, 10, 16)
		if err != nil {
			return fmt.Errorf("%q is not a time: write \"30s\", \"10m\", \"36h\" or \"30d\"", s)
		}
		*d = Duration(time.Duration(days) * day)
		return nil
	}
	v, err := time.ParseDuration(s)
	if err != nil || v < 0 {
		return fmt.Errorf("%q is not a time: write \"30s\", \"10m\", \"36h\" or \"30d\"", s)
	}
	*d = Duration(v)
	return nil
}

// String writes what UnmarshalText reads.
func (d Duration) String() string {
	v := time.Duration(d)
	if v >= 2*day && v%day == 0 {
		return strconv.Itoa(int(v/day)) + "d"
	}
	s := v.String() // "36h0m0s"
	if v != 0 && v%time.Minute == 0 {
		s = strings.TrimSuffix(s, "0s")
	}
	if v != 0 && v%time.Hour == 0 {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is a number of bytes with its unit, such as "50MiB".
type Size int64

var sizeUnits = []struct {
	name  string
	bytes int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"KB", 1e3}, {"B", 1}}

// UnmarshalText reads a size.
func (s *Size) UnmarshalText(text []byte) error {
	str := strings.ReplaceAll(string(text), " ", "")
	for _, u := range sizeUnits {
		n, ok := strings.CutSuffix(str, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(n, 64)
		if err != nil || !(v >= 0) || v*float64(u.bytes) >= math.MaxInt64 {
			break
		}
		*s = Size(v * float64(u.bytes))
		return nil
	}
	return fmt.Errorf("%q is not a size: write \"50MiB\", \"2GB\" or \"0B\"", string(text))
}

// String writes what UnmarshalText reads, exactly.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 && (u.bytes == 1 || u.bytes%1024 == 0) {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return "0B"
}

// Addresses are where something listens: host:port each.
type Addresses []string

// UnmarshalTOML reads one address or a list of them.
func (a *Addresses) UnmarshalTOML(v any) error {
	var list []string
	switch v := v.(type) {
	case string:
		list = []string{v}
	case []any:
		for _, e := range v {
			s, ok := e.(string)
			if !ok {
				return fmt.Errorf("%v is not an address: write \"127.0.0.1:1143\"", e)
			}
			list = append(list, s)
		}
	default:
		return fmt.Errorf("%v is not an address: write \"127.0.0.1:1143\", or [] for nowhere", v)
	}
	for _, s := range list {
		if err := checkAddress(s); err != nil {
			return err
		}
	}
	*a = list
	return nil
}

func checkAddress(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return fmt.Errorf("%q is not an address: write \"127.0.0.1:1143\", or \":143\" for every interface", s)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%q is not an address: %q is not a port (1 to 65535)", s, port)
	}
	return nil
}
