package shutdown_test

import (
	"errors"
	"net/http"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// startFirst starts the process as the first of a namespace, whose signals have no default action, as in a container.
func (p *process) startFirst() {
	p.t.Helper()
	p.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	err := p.Start()
	if errors.Is(err, syscall.EPERM) {
		p.t.Skip("the kernel does not let this user make a namespace of processes: ", err)
	}
	require.NoError(p.t, err)
}

func TestProcessOneEndsOnSIGTERMAndLosesNothing(t *testing.T) {
	p := command(t, "echo")
	p.startFirst()
	p.requireNothingLost(&http.Transport{})
}

func TestProcessOneEndsOnTheThirdSignal(t *testing.T) {
	p := command(t, "stubborn")
	p.startFirst()
	p.requireLines("ready")
	for range 2 {
		p.terminate()
		p.requireLines("half a second later")
	}
	p.terminate()
	p.requireExit(143)
	requireNamesTheTrap(t, p.stderr.String())
}
