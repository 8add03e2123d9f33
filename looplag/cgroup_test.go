package looplag_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag"
)

const (
	v2Groups = "0::/app.slice/app\n"
	v2Mounts = "22 1 0:20 / /proc rw - proc proc rw\n" +
		"30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
	v2Stat = "sys/fs/cgroup/app.slice/app/cpu.stat"

	v1Groups = "5:memory:/app\n4:cpu,cpuacct:/app\n1:name=systemd:/app\n0::/other\n"
	v1Mounts = "30 22 0:25 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n" +
		"31 22 0:26 / /sys/fs/cgroup/memory rw shared:5 - cgroup cgroup rw,memory\n" +
		"32 22 0:27 / /sys/fs/cgroup/cpu,cpuacct rw shared:6 - cgroup cgroup rw,cpu,cpuacct\n"
	v1Stat = "sys/fs/cgroup/cpu,cpuacct/app/cpu.stat"
)

func v2Content(periods, throttled, usec int) string {
	return fmt.Sprintf("usage_usec 900\nuser_usec 500\nnr_periods %d\nnr_throttled %d\nthrottled_usec %d\nnr_bursts 0\n",
		periods, throttled, usec)
}

func v1Content(periods, throttled, nsec int) string {
	return fmt.Sprintf("nr_periods %d\nnr_throttled %d\nthrottled_time %d\n", periods, throttled, nsec)
}

// machine is a root file system whose cpu.stat changes.
type machine struct {
	fstest.MapFS
	stat    string // path of cpu.stat
	content atomic.Pointer[string]
	open    atomic.Int64 // how many times it is open
}

func newMachine(groups, mounts, stat, content string) *machine {
	m := &machine{stat: stat, MapFS: fstest.MapFS{
		"proc/self/cgroup":    {Data: []byte(groups)},
		"proc/self/mountinfo": {Data: []byte(mounts)},
	}}
	m.content.Store(&content)
	return m
}

func (m *machine) Open(name string) (fs.File, error) {
	if name != m.stat {
		return m.MapFS.Open(name)
	}
	m.open.Add(1)
	return &statFile{machine: m}, nil
}

type statFile struct {
	fs.File
	*machine
}

func (f *statFile) ReadAt(b []byte, offset int64) (int, error) {
	content := f.content.Load()
	if content == nil {
		return 0, errors.New("no such device")
	}
	return strings.NewReader(*content).ReadAt(b, offset)
}

func (f *statFile) Close() error { f.open.Add(-1); return nil }

// observe is what a probe tells after the content of cpu.stat has become after; nil means that it cannot be read.
func (m *machine) observe(t *testing.T, after *string) (s looplag.Snapshot) {
	synctest.Test(t, func(t *testing.T) {
		probe := runDeaf(t, looplag.Config{Root: m}, newPipe())
		sleep(100 * ms)
		require.LessOrEqual(t, m.open.Load(), int64(1))
		m.content.Store(after)
		sleep(1900 * ms)
		s = probe.Snapshot()
	})
	require.Zero(t, m.open.Load())
	return s
}

func TestCPUIsReadFromCgroupV2(t *testing.T) {
	after := v2Content(19, 6, 123_999)
	s := newMachine(v2Groups, v2Mounts, v2Stat, v2Content(10, 2, 999)).observe(t, &after)
	require.Equal(t, looplag.CPU{Periods: 9, ThrottledPeriods: 4, Throttled: 123 * ms, OK: true}, s.CPU)
	require.Equal(t, looplag.CauseCPUThrottled, s.Cause)
}

func TestCPUIsReadFromCgroupV1(t *testing.T) {
	after := v1Content(19, 6, 2_000_999)
	s := newMachine(v1Groups, v1Mounts, v1Stat, v1Content(10, 2, 999)).observe(t, &after)
	require.Equal(t, looplag.CPU{Periods: 9, ThrottledPeriods: 4, Throttled: 2 * ms, OK: true}, s.CPU)
	require.Equal(t, looplag.CauseNone, s.Cause, "too little")
}

func TestCPUIsReadWhereverTheGroupIsMounted(t *testing.T) {
	mount := func(root, point, kind, super string) string {
		return "30 22 0:26 " + root + " " + point + " rw master:7 - " + kind + " none " + super + "\n"
	}
	for name, c := range map[string]struct{ groups, mounts, stat string }{
		"namespace":      {"0::/\n", mount("/", "/sys/fs/cgroup", "cgroup2", "rw"), "sys/fs/cgroup/cpu.stat"},
		"bind mount":     {"0::/pod/app\n", mount("/pod/app", "/sys/fs/cgroup", "cgroup2", "rw"), "sys/fs/cgroup/cpu.stat"},
		"part":           {"0::/pod/app\n", mount("/pod", "/cg", "cgroup2", "rw"), "cg/app/cpu.stat"},
		"second mount":   {"0::/pod/app\n", mount("/po", "/a", "cgroup2", "rw") + mount("/", "/b", "cgroup2", "rw"), "b/pod/app/cpu.stat"},
		"reachable":      {"0::/../app\n", mount("/..", "/cg", "cgroup2", "rw"), "cg/app/cpu.stat"},
		"spaces":         {"0::/my app\n", mount("/", `/my\040cg`, "cgroup2", "rw"), "my cg/my app/cpu.stat"},
		"colons":         {"0::/a:b\n", mount("/", "/cg", "cgroup2", "rw"), "cg/a:b/cpu.stat"},
		"hybrid":         {"0::/a\n2:cpu:/b\n", mount("/", "/cg", "cgroup2", "rw") + mount("/", "/cpu", "cgroup", "rw,cpu"), "cpu/b/cpu.stat"},
		"v1 without cpu": {"0::/a\n2:cpuset:/b\n", mount("/", "/set", "cgroup", "rw,cpuset") + mount("/", "/cg", "cgroup2", "rw"), "cg/a/cpu.stat"},
	} {
		t.Run(name, func(t *testing.T) {
			after := v2Content(2, 1, 5000)
			s := newMachine(c.groups, c.mounts, c.stat, v2Content(0, 0, 0)).observe(t, &after)
			require.Equal(t, looplag.CPU{Periods: 2, ThrottledPeriods: 1, Throttled: 5 * ms, OK: true}, s.CPU)
		})
	}
}

func TestCPUIsNotMeasuredWhereNothingTells(t *testing.T) {
	content := v2Content(1, 1, 1)
	for name, m := range map[string]*machine{
		"no proc":         {MapFS: fstest.MapFS{}},
		"no mountinfo":    {MapFS: fstest.MapFS{"proc/self/cgroup": {Data: []byte(v2Groups)}}},
		"no group":        newMachine("", v2Mounts, v2Stat, content),
		"no mount":        newMachine(v2Groups, "", v2Stat, content),
		"not mounted":     newMachine(v2Groups, v1Mounts[strings.Index(v1Mounts, "31 "):], v2Stat, content),
		"other mount":     newMachine("0::/app2\n", "30 22 0:26 /app /cg rw - cgroup2 none rw\n", "cg/2/cpu.stat", content),
		"above namespace": newMachine("0::/../app\n", v2Mounts, "sys/fs/app/cpu.stat", content),
		"no file":         newMachine(v2Groups, v2Mounts, "other", content),
		"root of v2":      newMachine(v2Groups, v2Mounts, v2Stat, "usage_usec 1\nuser_usec 1\n"),
		"bad groups":      newMachine("::\n\n0:\n", v2Mounts, v2Stat, content),
		"bad mounts":      newMachine(v2Groups, "- -\n - cgroup2\n\n1 2 3 / / 6 - cgroup2 x\n", v2Stat, content),
		"no numbers":      newMachine(v2Groups, v2Mounts, v2Stat, "nr_periods\nnr_periods x\nnr_periods -1\n\n"),
	} {
		t.Run(name, func(t *testing.T) {
			s := m.observe(t, m.content.Load())
			require.Zero(t, s.CPU)
			require.True(t, s.Timer.OK)
		})
	}
}

func TestCPUIsNotMeasuredOnceTheFileCannotBeRead(t *testing.T) {
	require.Zero(t, newMachine(v2Groups, v2Mounts, v2Stat, v2Content(1, 1, 1)).observe(t, nil).CPU)
}

func TestCPUIsNotMeasuredUntilBothEndsOfTheWindowAre(t *testing.T) {
	content := v2Content(1, 1, 1)
	m := newMachine(v2Groups, v2Mounts, v2Stat, content)
	m.content.Store(nil)
	require.Zero(t, m.observe(t, &content).CPU)
}

func TestCPUIsNotMeasuredIfTheFileSystemCannotReread(t *testing.T) {
	m := newMachine(v2Groups, v2Mounts, v2Stat, v2Content(1, 1, 1))
	synctest.Test(t, func(t *testing.T) {
		probe := run(t, looplag.Config{Root: onlyRead{m}}, newPipe())
		sleep(time.Second)
		require.Zero(t, probe.Snapshot().CPU)
	})
	require.Zero(t, m.open.Load())
}

// onlyRead hides every method of the files but those of fs.File.
type onlyRead struct{ fs.FS }

func (o onlyRead) Open(name string) (fs.File, error) {
	file, err := o.FS.Open(name)
	return struct{ fs.File }{file}, err
}
