package looplag_test

import (
	"io"
	"sync/atomic"
	"time"
)

// pipe is a pipe for synctest bubbles, which decides how long a byte is under way.
type pipe struct {
	bytes    chan byte
	closed   chan struct{}
	released chan struct{}
	hold     duration     // for how long a byte is under way
	readErr  error        // returned instead of a byte
	writeErr error        // returned by Write
	written  atomic.Int64 // how many bytes were
	closes   atomic.Int64 // how many ends were closed
}

// A duration can be changed while the pipe is used.
type duration struct{ ns atomic.Int64 }

func (d *duration) set(to time.Duration) { d.ns.Store(int64(to)) }
func (d *duration) get() time.Duration   { return time.Duration(d.ns.Load()) }

func newPipe() *pipe {
	return &pipe{bytes: make(chan byte, 1), closed: make(chan struct{}), released: make(chan struct{}, 1)}
}

// release ends the way of the byte that is held.
func (p *pipe) release() { p.released <- struct{}{} }

// open is for Config.Pipe.
func (p *pipe) open() (io.ReadCloser, io.WriteCloser, error) { return reader{p}, writer{p}, nil }

type (
	reader struct{ *pipe }
	writer struct{ *pipe }
)

func (r reader) Read(b []byte) (int, error) {
	select {
	case b[0] = <-r.bytes:
		if r.readErr != nil {
			return 0, r.readErr
		}
		select {
		case <-time.After(r.hold.get()):
			return 1, nil
		case <-r.released:
			return 1, nil
		case <-r.closed:
			return 0, io.EOF
		}
	case <-r.closed:
		return 0, io.EOF
	}
}

func (r reader) Close() error { r.closes.Add(1); return nil }

func (w writer) Write(b []byte) (int, error) {
	if w.writeErr != nil {
		return 0, w.writeErr
	}
	w.bytes <- b[0]
	w.written.Add(1)
	return 1, nil
}

func (w writer) Close() error { w.closes.Add(1); close(w.closed); return nil }
