package observe

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// descriptors is what the kernel tells about the files of this process. Where it does not tell, as on systems without
// /proc, OK is false.
type descriptors struct {
	OK    bool `json:"ok"`
	Open  int  `json:"open"`
	Limit int  `json:"limit"` // 0 if there is none
	// Sockets are the connections and listeners among them; Estimated if there were too many to look at each.
	Sockets   int  `json:"sockets"`
	Estimated bool `json:"estimated"`
}

// looked is at how many descriptors countDescriptors looks, which costs some microseconds each.
const looked = 2000

func countDescriptors() (d descriptors) {
	const folder = "/proc/self/fd"
	dir, err := os.Open(folder)
	if err != nil {
		return d
	}
	names, err := dir.Readdirnames(-1)
	own := strconv.Itoa(int(dir.Fd()))
	dir.Close() //nolint:errcheck // it was only read
	if err != nil {
		return d
	}
	step := (len(names) + looked - 1) / looked
	for i := 0; i < len(names); i += step {
		if to, err := os.Readlink(folder + "/" + names[i]); err == nil && strings.HasPrefix(to, "socket:") {
			d.Sockets += step
		}
	}
	d.OK, d.Open, d.Estimated = true, len(names), step > 1
	for _, name := range names {
		if name == own {
			d.Open-- // that of the folder
		}
	}
	d.Sockets = min(d.Sockets, d.Open)
	d.Limit = limitOfFiles()
	return d
}

// limitOfFiles is the soft limit on open files, 0 if there is none or it is not known.
func limitOfFiles() int {
	limits, err := os.ReadFile("/proc/self/limits")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(limits, []byte("Max open files"))
	fields := bytes.Fields(rest)
	if len(fields) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(string(fields[0]))
	return n
}
