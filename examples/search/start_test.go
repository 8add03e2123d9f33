package main_test

import (
	"bytes"
	"context"
	"flag"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/examples/internal/kit"
	"github.com/grove-go/grove/examples/internal/servicetest"
	search "github.com/grove-go/grove/examples/search"
)

// start runs a server that is not expected to come up, and returns its exit code and the last line that it prints.
func start(t *testing.T, args ...string) (code int, line string) {
	t.Helper()
	return startIn(t, nil, args...)
}

// startIn is start with an environment.
func startIn(t *testing.T, env map[string]string, args ...string) (code int, line string) {
	t.Helper()
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // for one that comes up nevertheless
	defer cancel()
	err := search.Run(ctx, args, func(name string) string { return env[name] }, &out)
	code = kit.Exit(&out, "search", err)
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	return code, lines[len(lines)-1]
}

func TestWrongFlagsExitWithTwoAndTellWhatIsAllowed(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"-nope"}, "there are -addr, -debug, -postgres, -redis"},
		{[]string{"-addr", "8080"}, "want host:port, such as 127.0.0.1:8080"},
		{[]string{"-debug", "127.0.0.1:http"}, "with a port from 0 to 65535"},
		{[]string{"-redis", "http://127.0.0.1"}, "want a URL such as redis://127.0.0.1:6379"},
		{[]string{"-redis", "redis://127.0.0.1:99999"}, "want a port from 1 to 65535"},
		{[]string{"-postgres", "mysql://127.0.0.1"}, "want a URL such as postgres://user@127.0.0.1:5432/db"},
	} {
		code, line := start(t, append([]string{"-addr", "127.0.0.1:0", "-debug", "127.0.0.1:0"}, c.args...)...)
		require.Equal(t, 2, code, line)
		require.True(t, strings.HasPrefix(line, "search: "), line)
		require.Contains(t, line, c.want)
	}
}

func TestAWrongURLIsBlamedOnTheFlagOrTheEnvironment(t *testing.T) {
	for _, name := range []string{"redis", "postgres"} {
		env := "GROVE_" + strings.ToUpper(name)
		code, line := startIn(t, map[string]string{env: "foo://"})
		require.Equal(t, 2, code, line)
		require.True(t, strings.HasPrefix(line, "search: -"+name+" or "+env+": want a URL such as "+name+"://"), line)
	}
}

func TestHelpExitsWithZero(t *testing.T) {
	var out bytes.Buffer
	err := search.Run(t.Context(), []string{"-h"}, func(string) string { return "" }, &out)
	require.ErrorIs(t, err, flag.ErrHelp)
	require.Contains(t, out.String(), "-postgres URL")
	require.Zero(t, kit.Exit(&out, "search", err))
}

func TestFlagsMayComeFromTheEnvironment(t *testing.T) {
	env := map[string]string{"GROVE_REDIS": "redis://elsewhere", "GROVE_ADDR": "127.0.0.1:1"}
	c, err := search.Configure([]string{"-addr", "127.0.0.1:2"}, func(name string) string { return env[name] }, nil)
	require.NoError(t, err)
	require.Equal(t, "redis://elsewhere", c.Redis.URL)
	require.Equal(t, kit.Addr("127.0.0.1:2"), c.Addr)
	require.Equal(t, kit.Addr("127.0.0.1:6060"), c.Debug)
}

func TestAPortInUseExitsWithOneAndSaysSo(t *testing.T) {
	ln, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { require.NoError(t, ln.Close()) }()
	for flag, other := range map[string]string{"-addr": "-debug", "-debug": "-addr"} {
		code, line := start(t, flag, ln.Addr().String(), other, "127.0.0.1:0")
		require.Equal(t, 1, code)
		require.Contains(t, line, flag+": listen tcp "+ln.Addr().String())
		require.Contains(t, line, "address already in use")
	}
}

func TestADeadPostgresExitsWithOneAndSaysSo(t *testing.T) {
	var out bytes.Buffer
	err := search.Run(t.Context(), []string{
		"-addr", "127.0.0.1:0", "-debug", "127.0.0.1:0", "-postgres", "postgres://" + servicetest.Closed(t),
	}, func(string) string { return "" }, &out)
	out.Reset()
	require.Equal(t, 1, kit.Exit(&out, "search", err))
	require.Contains(t, out.String(), "connection refused")
	require.Equal(t, 1, strings.Count(out.String(), "\n"), out.String())
}

func TestProgressIsLinesOfTheLogUnlessOnATerminal(t *testing.T) {
	var out bytes.Buffer
	progress := search.NewProgress(&out, slog.New(slog.NewTextHandler(&out, nil)))
	for done := 1; done <= 1000; done++ {
		progress(done, 1000)
	}
	require.Equal(t, 4, strings.Count(out.String(), "\n"))
	require.Contains(t, out.String(), "msg=loading characters=250 of=1000\n")
	require.Contains(t, out.String(), "msg=loading characters=1000 of=1000\n")
}

func TestTheBarGrowsInItsLine(t *testing.T) {
	var out bytes.Buffer
	search.Bar(&out, 1, 4)
	search.Bar(&out, 4, 4)
	require.Equal(t, "\rloading [==========                              ] 1/4 characters"+
		"\rloading [========================================] 4/4 characters\n", out.String())
}
