package looplag

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
)

// groupOf is the directory, below root, of the control group whose CPU quota holds for the process. It is found as the
// runtime finds it for GOMAXPROCS: in the v1 hierarchy with the cpu controller if there is one, else in the v2 hierarchy.
func groupOf(root fs.FS) (dir string, ok bool) {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return "", false
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
		return "", false
	}
	for line := range strings.Lines(string(mounts)) {
		if dir, ok := groupDir(line, name, v1); ok {
			return dir[1:], true
		}
	}
	return "", false
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

// parseQuota reads the counters of a cpu.stat.
func parseQuota(text string) CPU {
	var cpu CPU
	for line := range strings.Lines(text) {
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
