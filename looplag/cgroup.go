package looplag

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

// A cgroup is the control group whose CPU quota holds for the process, nil when there is none.
type cgroup struct {
	stat statFile
	buf  [1024]byte
}

// A statFile is a group's cpu.stat.
type statFile interface {
	io.ReaderAt
	io.Closer
}

// openCgroup opens the process's own group, found as the runtime finds it for GOMAXPROCS: in the v1 hierarchy with the
// cpu controller if there is one, else in the v2 hierarchy.
func openCgroup(root fs.FS) *cgroup {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return nil
	}
	// Lines are "hierarchy:controllers:path"; v2 is hierarchy 0 without controllers.
	var name string
	var v1 bool
	for line := range strings.Lines(string(groups)) {
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), ":", 3)
		switch {
		case len(fields) < 3:
		case hasWord(fields[1], "cpu"):
			name, v1 = fields[2], true
		case fields[0] == "0" && !v1:
			name = fields[2]
		}
	}
	mounts, err := fs.ReadFile(root, "proc/self/mountinfo")
	if err != nil || name == "" {
		return nil
	}
	for line := range strings.Lines(string(mounts)) {
		dir, ok := groupDir(line, name, v1)
		if !ok {
			continue
		}
		file, err := root.Open(path.Join(dir, "cpu.stat")[1:])
		if err != nil {
			return nil
		}
		stat, ok := file.(statFile)
		if !ok {
			file.Close() //nolint:errcheck // it was only read
			return nil
		}
		return &cgroup{stat: stat}
	}
	return nil
}

// groupDir is the directory of the group with the given name if the line of mountinfo mounts it.
func groupDir(line, name string, v1 bool) (dir string, ok bool) {
	// "36 35 98:0 /root /mount/point options tags... - type source super-options"
	before, after, _ := strings.Cut(line, " - ")
	mount, super := strings.Fields(before), strings.Fields(after)
	if len(mount) < 6 || len(super) < 3 {
		return "", false
	}
	if v1 && (super[0] != "cgroup" || !hasWord(super[2], "cpu")) || !v1 && super[0] != "cgroup2" {
		return "", false
	}
	// Of the hierarchy only what is below the mount's root can be seen; a name beginning with /.. is above the root of
	// the cgroup namespace.
	top := strings.TrimSuffix(unescape(mount[3]), "/")
	below, ok := strings.CutPrefix(name, top)
	if !ok || below != "" && below[0] != '/' || strings.HasPrefix(below+"/", "/../") {
		return "", false
	}
	return path.Join("/", unescape(mount[4]), below), true
}

// read returns the group's counters. The file stays open in between: opening it costs many times as much.
func (c *cgroup) read() CPU {
	if c == nil {
		return CPU{}
	}
	n, err := c.stat.ReadAt(c.buf[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return CPU{}
	}
	var cpu CPU
	for line := range strings.Lines(string(c.buf[:n])) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		count, err := strconv.ParseUint(value, 10, 63)
		if err != nil {
			continue
		}
		switch key {
		case "nr_periods": // missing where there cannot be a quota, as in the root of v2
			cpu.Periods, cpu.OK = count, true
		case "nr_throttled":
			cpu.ThrottledPeriods = count
		case "throttled_usec": // v2
			cpu.Throttled = time.Duration(count) * time.Microsecond
		case "throttled_time": // v1
			cpu.Throttled = time.Duration(count)
		}
	}
	return cpu
}

func (c *cgroup) close() {
	if c != nil {
		c.stat.Close() //nolint:errcheck // it was only read
	}
}

// since is the difference of c and an earlier state; not measured unless both were.
func (c CPU) since(old CPU) CPU {
	if !c.OK || !old.OK {
		return CPU{}
	}
	return CPU{
		Periods:          c.Periods - old.Periods,
		ThrottledPeriods: c.ThrottledPeriods - old.ThrottledPeriods,
		Throttled:        c.Throttled - old.Throttled,
		OK:               true,
	}
}

// hasWord reports whether word is in a list separated by commas.
func hasWord(list, word string) bool { return strings.Contains(","+list+",", ","+word+",") }

// unescape undoes the encoding of special characters in mountinfo.
func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`, `\043`, "#").Replace(s)
}
