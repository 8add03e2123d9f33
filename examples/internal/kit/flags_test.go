package kit_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/internal/kit"
	"github.com/grove-go/grove/shutdown"
)

// parse reads args and the environment env into an address.
func parse(env map[string]string, args ...string) (kit.Addr, string, error) {
	var out bytes.Buffer
	addr := kit.Addr("127.0.0.1:8080")
	fs := flag.NewFlagSet("server", flag.ContinueOnError)
	fs.SetOutput(&out)
	fs.Var(&addr, "addr", "`host:port` for users")
	err := kit.Parse(fs, args, func(name string) string { return env[name] })
	return addr, out.String(), err
}

func TestParseTakesFlagsBeforeTheEnvironmentBeforeDefaults(t *testing.T) {
	env := map[string]string{"GROVE_ADDR": "127.0.0.1:2"}
	for _, c := range []struct {
		env  map[string]string
		args []string
		want kit.Addr
	}{
		{nil, nil, "127.0.0.1:8080"},
		{env, nil, "127.0.0.1:2"},
		{env, []string{"-addr", "127.0.0.1:3"}, "127.0.0.1:3"},
		{map[string]string{"GROVE_ADDR": "wrong"}, []string{"-addr", "127.0.0.1:3"}, "127.0.0.1:3"},
	} {
		addr, out, err := parse(c.env, c.args...)
		require.NoError(t, err)
		require.Equal(t, c.want, addr)
		require.Empty(t, out)
	}
}

func TestParseTellsWhatIsAllowed(t *testing.T) {
	for _, c := range []struct {
		env  map[string]string
		args []string
		want string
	}{
		{nil, []string{"-nope"}, "flag provided but not defined: -nope; there are -addr"},
		{nil, []string{"extra"}, `unexpected argument "extra"; there are -addr`},
		{nil, []string{"-addr", "8080"}, "want host:port, such as 127.0.0.1:8080"},
		{nil, []string{"-addr", ":http"}, "with a port from 0 to 65535"},
		{nil, []string{"-addr", "127.0.0.1:65536"}, "with a port from 0 to 65535"},
		{map[string]string{"GROVE_ADDR": "x"}, nil, `invalid value "x" for GROVE_ADDR: want host:port`},
	} {
		_, out, err := parse(c.env, c.args...)
		require.ErrorContains(t, err, c.want)
		var usage *kit.UsageError
		require.ErrorAs(t, err, &usage)
		require.Empty(t, out)
	}
}

func TestParsePrintsTheFlagsWhenAskedForHelp(t *testing.T) {
	for _, env := range []map[string]string{nil, {"GROVE_ADDR": "wrong"}} {
		_, out, err := parse(env, "-help")
		require.ErrorIs(t, err, flag.ErrHelp)
		require.Contains(t, out, "-addr host:port")
		require.Contains(t, out, "GROVE_ADDR")
	}
}

func TestExitPrintsTheStackOfWhatIsStuck(t *testing.T) {
	var out bytes.Buffer
	stuck := shutdown.Step{Component: "db", Hook: "Stop", Stuck: true, Stack: []byte("goroutine 1:\nmain.wait()")}
	require.Equal(t, 124, kit.Exit(&out, "server", &shutdown.Report{Steps: []shutdown.Step{stuck}}))
	require.Regexp(t, `\n\s+main\.wait\(\)\n`, out.String())
}

func TestExitPrintsTheStackOfAPanic(t *testing.T) {
	var out bytes.Buffer
	failed := shutdown.Step{Component: "db", Hook: "Stop", Err: &shutdown.PanicError{Value: "boom", Stack: []byte("goroutine 1:\nmain.f()")}}
	require.Equal(t, 1, kit.Exit(&out, "server", &shutdown.Report{Reason: "asked", Steps: []shutdown.Step{failed}}))
	require.Equal(t, "server: shutdown: asked\ndb (Resources): Stop: panic: boom\n\n\tgoroutine 1:\n\tmain.f()\n", out.String())
}

func TestExitPrintsOneLineAndReturnsTheCode(t *testing.T) {
	for _, c := range []struct {
		err  error
		code int
		line string
	}{
		{nil, 0, ""},
		{flag.ErrHelp, 0, ""},
		{&kit.UsageError{Err: errors.New("wrong")}, 2, "server: wrong\n"},
		{errors.New("port in use"), 1, "server: port in use\n"},
		{errors.New("dial:\n\tfirst\n\tsecond"), 1, "server: dial: first second\n"},
		{fmt.Errorf("start: %w", &kit.UsageError{Err: errors.New("wrong")}), 2, "server: start: wrong\n"},
	} {
		var out bytes.Buffer
		require.Equal(t, c.code, kit.Exit(&out, "server", c.err))
		require.Equal(t, c.line, out.String())
	}
}
