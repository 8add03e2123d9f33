//go:build unix

package shutdown

import (
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"syscall"
)

// readNow reads what has arrived already.
func readNow(c net.Conn, p []byte) (int, error) {
	socket, ok := c.(syscall.Conn)
	if !ok {
		return 0, os.ErrDeadlineExceeded
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	var errno error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, errno = syscall.Read(int(fd), p)
			if errno != syscall.EINTR {
				return true
			}
		}
	})
	switch {
	case err != nil:
		return 0, err
	case errno == syscall.EAGAIN:
		return 0, os.ErrDeadlineExceeded
	case errno != nil:
		return 0, os.NewSyscallError("read", errno)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// soBindToIfindex is SO_BINDTOIFINDEX of Linux, for which the standard library has no name.
const soBindToIfindex = 62

// refuse makes the kernel refuse new connections as if the socket had been closed, and complete those that have begun. On
// Linux a socket that is bound to an interface which does not exist is found by no new connection. Elsewhere, and
// where this fails, a connection that comes in the moment of the close may be reset after its client has sent.
func refuse(ln socket) error {
	if runtime.GOOS != "linux" {
		return nil
	}
	raw, err := ln.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, soBindToIfindex, math.MaxInt32) //nolint:errcheck // see above
	})
}

// acceptRest accepts what is in the queue of a listener and closes it. Between the look that finds the queue empty and
// the close there is nothing but these two system calls.
func acceptRest(ln socket) []net.Conn {
	var fds []int
	if raw, err := ln.SyscallConn(); err == nil {
		raw.Control(func(fd uintptr) { fds = acceptAll(int(fd)) }) //nolint:errcheck // closed: then there is no queue
	}
	ln.Close() //nolint:errcheck // nothing can be done about it
	conns := make([]net.Conn, 0, len(fds))
	for _, fd := range fds {
		f := os.NewFile(uintptr(fd), "")
		if c, err := net.FileConn(f); err == nil {
			conns = append(conns, c)
		}
		f.Close() //nolint:errcheck // FileConn has a copy of its own
	}
	return conns
}

// acceptAll accepts connections from a socket, which must not block, until there are none.
func acceptAll(fd int) (fds []int) {
	for {
		syscall.ForkLock.RLock()
		c, _, err := syscall.Accept(fd)
		if err == nil {
			syscall.CloseOnExec(c)
		}
		syscall.ForkLock.RUnlock()
		switch err {
		case nil:
			fds = append(fds, c)
		case syscall.EINTR, syscall.ECONNABORTED: // the next may be fine
		default:
			return fds
		}
	}
}
