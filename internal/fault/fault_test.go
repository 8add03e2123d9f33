package fault_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/grove-go/grove/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func culprit(value any) { panic(value) }

func capture(f func()) (p *fault.PanicError) {
	defer func() { p = fault.Recovered(recover(), "job") }()
	f()
	return nil
}

func TestRecoveredStackBeginsWhereThePanicBegan(t *testing.T) {
	p := capture(func() { culprit("boom") })
	lines := strings.Split(string(p.Stack), "\n")
	require.True(t, strings.HasPrefix(lines[0], "goroutine "), lines[0])
	require.Contains(t, lines[1], "fault_test.culprit(")
	require.Equal(t, "panic in job: boom", p.Summary())
	require.True(t, strings.HasPrefix(p.Error(), "panic in job: boom\n\ngoroutine "))
}

func TestRecoveredNamesTheRuntimesOwnPanics(t *testing.T) {
	p := capture(func() {
		var m map[string]int
		m["x"] = 1 //nolint:govet,staticcheck // the panic is what is tested
	})
	require.Contains(t, strings.Split(string(p.Stack), "\n")[1], "fault_test.TestRecoveredNamesTheRuntimesOwnPanics")
}

func TestRecoveredKeepsThePanicThatCrossedAGoroutine(t *testing.T) {
	first := capture(func() { culprit("boom") })
	require.Same(t, first, capture(func() { culprit(first) }))
}

func TestUnwrapReturnsAnErrorThatWasPanickedWith(t *testing.T) {
	require.ErrorIs(t, capture(func() { culprit(io.ErrUnexpectedEOF) }), io.ErrUnexpectedEOF)
	require.NoError(t, errors.Unwrap(capture(func() { culprit(7) })))
}

func TestRethrownKeepsTheIdentityOfErrAbortHandler(t *testing.T) {
	require.Equal(t, http.ErrAbortHandler, capture(func() { culprit(http.ErrAbortHandler) }).Rethrown())
	p := capture(func() { culprit("boom") })
	require.Same(t, p, p.Rethrown())
	p = capture(func() { culprit((*net.OpError)(nil)) })
	require.Same(t, p, p.Rethrown(), "though its text panics")
}
