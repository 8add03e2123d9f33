package looplag_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag"
)

// A root is the files of a machine, by path.
type root map[string]string

// history is the file system of a machine whose files change.
type history struct{ present atomic.Pointer[fstest.MapFS] }

func (h *history) become(files root) {
	present := make(fstest.MapFS)
	for name, content := range files {
		present[name] = &fstest.MapFile{Data: []byte(content)}
	}
	h.present.Store(&present)
}

func (h *history) Open(name string) (fs.File, error) {
	file, err := h.present.Load().Open(name)
	if _, isDir := file.(fs.ReadDirFile); isDir || err != nil {
		return file, err
	}
	return kernelFile{file, h, name}, nil
}

// A kernelFile tells the present whenever it is read, as those of proc do.
type kernelFile struct {
	fs.File
	*history
	name string
}

func (f kernelFile) ReadAt(b []byte, offset int64) (int, error) {
	content, err := fs.ReadFile(f.present.Load(), f.name)
	if err != nil {
		return 0, err
	}
	return bytes.NewReader(content).ReadAt(b, offset)
}

// passes is what a probe tells after the files of a machine have been those of each step for five seconds.
func passes(t *testing.T, steps ...root) (s looplag.Snapshot) {
	synctest.Test(t, func(t *testing.T) {
		var machine history
		machine.become(steps[0])
		pipe := newPipe()
		pipe.hold.set(15 * ms) // while something is late the files are read each tenth of the window
		probe := run(t, looplag.Config{Root: &machine, Window: 20 * time.Second}, pipe)
		for _, step := range steps {
			machine.become(step)
			sleep(5 * time.Second)
		}
		s = probe.Snapshot()
	})
	return s
}

func pressure(total string) string {
	return "some avg10=1.00 avg60=2.00 avg300=3.00 total=" + total + "\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
}

func TestPressureIsThatOfTheGroup(t *testing.T) {
	const file = "sys/fs/cgroup/app.slice/app/cpu.pressure"
	machine := func(ours, all string) root {
		return root{
			"proc/self/cgroup": v2Groups, "proc/self/mountinfo": v2Mounts,
			file: pressure(ours), "proc/pressure/cpu": pressure(all),
		}
	}
	s := passes(t, machine("1000", "5"), machine("43000", "6"))
	require.Equal(t, looplag.Pressure{Some: 42 * ms, OK: true}, s.Pressure)
}

func TestPressureIsThatOfTheMachineWhereTheGroupHasNone(t *testing.T) {
	s := passes(t, root{"proc/pressure/cpu": pressure("1000")}, root{"proc/pressure/cpu": pressure("4000")})
	require.Equal(t, looplag.Pressure{Some: 3 * ms, OK: true}, s.Pressure)
}

func TestPressureIsNotMeasuredWhereNothingTells(t *testing.T) {
	for _, content := range []string{"", "some", "some total=", "some total=x", "some total=-1", "full total=1", pressure("9999999999999999999")} {
		s := passes(t, root{"proc/pressure/cpu": content}, root{"proc/pressure/cpu": content})
		require.Zero(t, s.Pressure, content)
	}
	require.Zero(t, passes(t, root{}, root{}).Pressure)
}

const thread1, thread2 = "proc/self/task/1/schedstat", "proc/self/task/22/schedstat"

func TestOSIsTheSumOverThreads(t *testing.T) {
	s := passes(t,
		root{thread1: "1000 10 1\n", thread2: "2000 20 1\n"},
		root{thread1: "1300 17 2\n", thread2: "2500 20 1\n"})
	require.Equal(t, looplag.OS{Ran: 800, Waited: 7, OK: true}, s.OS)
}

func TestWhatAThreadCountedStaysWhenItHasEnded(t *testing.T) {
	both := root{thread1: "1000 10 1\n", thread2: "2000 20 1\n"}
	grown, reused, busier := maps.Clone(both), maps.Clone(both), maps.Clone(both)
	grown[thread2] = "2700 25 2\n"
	reused[thread2] = "40 2 1\n"
	busier[thread2] = "3000 2 1\n"
	s := passes(t, both, grown, root{thread1: both[thread1]})
	require.Equal(t, looplag.OS{Ran: 700, Waited: 5, OK: true}, s.OS)
	s = passes(t, both, reused)
	require.Equal(t, looplag.OS{Ran: 40, Waited: 2, OK: true}, s.OS, "a number can be used again")
	s = passes(t, both, busier)
	require.Equal(t, looplag.OS{Ran: 3000, Waited: 2, OK: true}, s.OS, "by a thread that has run for longer")
}

func TestAThreadThatBeginsCounts(t *testing.T) {
	s := passes(t, root{thread1: "1000 10 1\n"}, root{thread1: "1000 10 1\n", thread2: "50 5 1\n"})
	require.Equal(t, looplag.OS{Ran: 50, Waited: 5, OK: true}, s.OS)
}

func TestManyThreadsAreReadRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		machine := make(fstest.MapFS)
		for i := range 1000 {
			machine[fmt.Sprintf("proc/self/task/%d/schedstat", i)] = &fstest.MapFile{Data: []byte("1 1 1\n")}
		}
		counted := &counting{FS: machine, name: "proc/self/task/1/schedstat"}
		run(t, looplag.Config{Root: counted, IdleInterval: 10 * ms, Window: time.Second}, newPipe())
		sleep(30 * time.Second)
		require.InDelta(t, 10, counted.opened.Load(), 1, "each 3 ms for every thread")
	})
}

// counting counts how often a file is opened.
type counting struct {
	fs.FS
	name   string
	opened atomic.Int64
}

func (c *counting) Open(name string) (fs.File, error) {
	if name == c.name {
		c.opened.Add(1)
	}
	return c.FS.Open(name)
}

func TestOSIsNotMeasuredWhereNothingTells(t *testing.T) {
	for _, content := range []string{"0 0 0\n", "", "1 2\n", "x 1 1\n", "1 x 1\n"} {
		s := passes(t, root{thread1: content}, root{thread1: content})
		require.Zero(t, s.OS, content)
	}
	require.Zero(t, passes(t, root{"proc/self/task/1/stat": ""}, root{}).OS)
}

func TestSlowFilesHoldUpNeitherTicksNorBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var machine history
		machine.become(root{"proc/pressure/cpu": pressure("1")})
		probe := run(t, looplag.Config{Root: slow{&machine}, IdleInterval: 10 * ms, Window: time.Second}, newPipe())
		sleep(time.Minute)
		s := probe.Snapshot()
		require.True(t, s.Pressure.OK)
		require.Zero(t, s.Net.Max)
		require.Zero(t, s.Timer.Max)
		require.Equal(t, uint64(50), s.Net.N)
	})
}

// slow takes 300 ms to open a file, and to read it.
type slow struct{ fs.FS }

func (s slow) Open(name string) (fs.File, error) {
	time.Sleep(300 * ms)
	file, err := s.FS.Open(name)
	if f, ok := file.(kernelFile); ok {
		return slowFile{f}, nil
	}
	return file, err
}

type slowFile struct{ kernelFile }

func (f slowFile) ReadAt(b []byte, offset int64) (int, error) {
	time.Sleep(300 * ms)
	return f.kernelFile.ReadAt(b, offset)
}
