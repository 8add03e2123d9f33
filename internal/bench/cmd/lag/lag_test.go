//go:build unix

package main

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag"
)

func TestBadFlagsAreRefused(t *testing.T) {
	for args, want := range map[string]string{
		"-warm 1ms":      "-warm and -for must be at least 1s",
		"-for 1ms":       "-warm and -for must be at least 1s",
		"-storm (":       "-storm: ",
		"-cpu many":      "-cpu: ",
		"-serve nothing": `no storm "nothing"`,
	} {
		err := run(strings.Fields(args), strings.NewReader(""), io.Discard, io.Discard)
		require.ErrorContains(t, err, want)
	}
}

func TestQuantilesAreInMilliseconds(t *testing.T) {
	var ds []time.Duration
	for i := range 101 {
		ds = append(ds, time.Duration(100-i)*time.Millisecond)
	}
	require.Equal(t, dist{P50: 50, P99: 99}, quantiles(ds))
	require.Zero(t, quantiles(nil))
}

func TestACollectorsQuantilesAreOfWhatCameSinceItBegan(t *testing.T) {
	counts := []uint64{7, 0, 5, 1}
	var broken error
	c := collector{read: func() ([]uint64, []float64, error) { return counts, []float64{1, 2, 3}, broken }}
	require.NoError(t, c.begin())
	counts = []uint64{7, 100, 5, 1}
	d, err := c.end()
	require.NoError(t, err)
	require.Equal(t, dist{P50: 1500, P99: 1990}, d)
	counts[3] = 10_000
	d, err = c.end()
	require.NoError(t, err)
	require.Equal(t, dist{P50: 3000, P99: 3000}, d, "nothing is known above the last bound")
	broken = errors.New("broken")
	_, err = c.end()
	require.ErrorIs(t, err, broken)
}

func TestBothCollectorsHaveTheHistogram(t *testing.T) {
	for _, c := range []*collector{newOTel(), newPrometheus()} {
		require.NoError(t, c.begin())
		_, err := c.end()
		require.NoError(t, err)
	}
}

func TestVerdict(t *testing.T) {
	r := row{storm: storm{queues: true, causes: saturated}}
	r.server.Cause = "cpu_saturated"
	r.client.Late.P50 = 100
	for net, want := range map[time.Duration]string{
		69 * time.Millisecond: "missed: Net", 71 * time.Millisecond: "met",
		129 * time.Millisecond: "met", 131 * time.Millisecond: "missed: Net",
	} {
		r.server.Snapshot.Net = looplag.Dist{P50: net}
		require.Equal(t, want, r.verdict())
	}
	r.server.Cause = "none"
	require.Equal(t, "missed: the cause", r.verdict())
	r.storm.queues, r.storm.causes = false, blocked
	require.Equal(t, "missed: the cause", r.verdict())
	r.client.Late.P50 = 0.9
	require.Equal(t, "met", r.verdict())
	r.storm.queues = true
	r.client.Generator = 0.2
	require.Equal(t, "no measurement: the client was late itself", r.verdict())
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 0.0001: "0", 0.00123: "0.00123", 1.234: "1.23", 99.96: "100", 1234.5: "1234"} {
		require.Equal(t, want, number(v))
	}
}
