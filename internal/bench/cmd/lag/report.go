//go:build unix

package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/grove-go/grove/looplag"
)

// A dist has quantiles in milliseconds.
type dist struct{ P50, P99 float64 }

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func quantiles(ds []time.Duration) dist {
	if len(ds) == 0 {
		return dist{}
	}
	slices.Sort(ds)
	at := func(q float64) float64 { return millis(ds[int(q*float64(len(ds)-1))]) }
	return dist{P50: at(0.50), P99: at(0.99)}
}

// write prints the tables.
func write(w io.Writer, rows []row) error {
	waits := table{{
		"storm", "P", "requests", "client", "p99", "bytes", "Net", "p99", "Net ÷ client", "Timer", "p99", "Queue", "Sched", "p99",
		"ticker", "p99", "OTel", "p99", "Prometheus", "p99",
	}}
	causes := table{{"storm", "P", "Cause", "own figure", "", "RunQueue counted", "by Little's law", "ran", "waited", "verdict"}}
	for _, r := range rows {
		s := r.server.Snapshot
		line := []string{r.storm.name, r.procs}
		count := func(n uint64) { line = append(line, strconv.FormatUint(n, 10)) }
		add := func(values ...float64) {
			for _, v := range values {
				line = append(line, number(v))
			}
		}
		count(r.client.N)
		add(r.client.Late.P50, r.client.Late.P99)
		count(s.Net.N)
		add(millis(s.Net.P50), millis(s.Net.P99), millis(s.Net.P50)/r.client.Late.P50)
		add(millis(s.Timer.P50), millis(s.Timer.P99), millis(s.Queue.P50), millis(s.Sched.P50), millis(s.Sched.P99))
		add(r.server.Canary.P50, r.server.Canary.P99, r.server.OTel.P50, r.server.OTel.P99)
		add(r.server.Prometheus.P50, r.server.Prometheus.P99)
		waits = append(waits, line)

		name, value := r.storm.figure(s)
		causes = append(causes, []string{
			r.storm.name, r.procs, r.server.Cause, number(value), name, number(s.RunQueue), number(r.server.Little),
			number(share(s, s.OS.Ran) / 100), number(share(s, s.OS.Waited) / 100), r.verdict(),
		})
	}
	_, err := fmt.Fprintf(w, "Medians and p99 in milliseconds; P is GOMAXPROCS; ran and waited are processors, of the kernel's scheduler.\n\n%s\n%s", waits, causes)
	return err
}

// hardlyLate is, in milliseconds, what a request may wait for nobody to be late.
const hardlyLate = 1

// verdict says whether the Snapshot tells the storm.
func (r row) verdict() string {
	s := r.server.Snapshot
	ratio := millis(s.Net.P50) / r.client.Late.P50
	var missed string
	switch {
	case r.storm.queues && r.client.Generator > 0.1:
		return "no measurement: the client was late itself"
	case !slices.ContainsFunc(r.storm.causes, func(c looplag.Cause) bool { return c.String() == r.server.Cause }),
		r.server.Cause == looplag.CauseNone.String() && r.client.Late.P50 >= hardlyLate:
		missed = "missed: the cause"
	case r.storm.queues && (ratio < 0.7 || ratio > 1.3):
		missed = "missed: Net"
	default:
		return "met"
	}
	if s.OS.Waited > s.OS.Ran {
		missed += ", but others had the processors"
	}
	return missed
}

// A table is printed as Markdown; its first line is the header.
type table [][]string

func (t table) String() string {
	var b strings.Builder
	for i, line := range t {
		b.WriteString("| " + strings.Join(line, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(line)) + "|\n")
		}
	}
	return b.String()
}

// number has three digits, or the full part if that has more.
func number(v float64) string {
	switch {
	case v >= 100:
		return strconv.FormatFloat(v, 'f', 0, 64)
	case v < 0.001:
		return "0"
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}
