package observe

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// sparkline is a curve of the last minute, a value a second, on a logarithmic scale: what matters is whether something is a
// hundred microseconds or a hundred milliseconds.
type sparkline struct {
	Name string `json:"name"`
	// Values are in Unit, oldest first.
	Values []float64 `json:"values"`
	Unit   string    `json:"unit"`
	Last   string    `json:"-"`
	Max    string    `json:"-"`
	low    float64   // what is drawn at the bottom
	high   float64   // and at the top, at least
}

func curves(samples []sample) []sparkline {
	duration := func(name string, of func(sample) time.Duration) sparkline {
		c := sparkline{Name: name, Values: make([]float64, 0, len(samples)), Unit: "s", low: 100e-6, high: 0.1}
		for _, s := range samples {
			c.Values = append(c.Values, of(s).Seconds())
		}
		return c.with(func(v float64) string { return seconds(v * float64(time.Second)).String() })
	}
	number := func(name string, high float64, of func(sample) float64) sparkline {
		c := sparkline{Name: name, Values: make([]float64, 0, len(samples)), low: 1, high: high}
		for _, s := range samples {
			c.Values = append(c.Values, max(0, of(s)))
		}
		return c.with(func(v float64) string { return fmt.Sprintf("%.3g", v) })
	}
	return []sparkline{
		duration("net p99", func(s sample) time.Duration { return s.net }),
		duration("timer p99", func(s sample) time.Duration { return s.timer }),
		duration("sched p99", func(s sample) time.Duration { return s.sched }),
		number("run queue", 100, func(s sample) float64 { return s.runQueue }),
		number("goroutines", 1000, func(s sample) float64 { return float64(s.goroutines) }),
		number("threads", 100, func(s sample) float64 { return float64(s.threads) }),
		number("groups", 100, func(s sample) float64 { return float64(s.groups) }),
	}
}

func (c sparkline) with(text func(float64) string) sparkline {
	most := 0.0
	for _, v := range c.Values {
		most = max(most, v)
	}
	c.Max, c.Last = text(most), text(0)
	if n := len(c.Values); n > 0 {
		c.Last = text(c.Values[n-1])
	}
	c.high = max(c.high, most)
	return c
}

// height is where a value is drawn, from 0 to 1.
func (c sparkline) height(v float64) float64 {
	if v <= c.low {
		return 0
	}
	return math.Log(v/c.low) / math.Log(c.high/c.low)
}

// Text draws the curve with characters, one for the higher of two values.
func (c sparkline) Text() string {
	const bars = "▁▂▃▄▅▆▇█"
	runes := []rune(bars)
	var b strings.Builder
	for pair := range slices.Chunk(c.Values, 2) {
		v := slices.Max(pair)
		b.WriteRune(runes[min(len(runes)-1, int(c.height(v)*float64(len(runes))))])
	}
	return b.String()
}

// Points draws the curve as the points of a polyline in an SVG of 240 by 32.
func (c sparkline) Points() string {
	const width, top, bottom = 240.0, 2.0, 30.0
	var b strings.Builder
	for i, v := range c.Values {
		x := width - float64(len(c.Values)-1-i)*width/(curve-1)
		fmt.Fprintf(&b, "%.0f,%.0f ", x, bottom-c.height(v)*(bottom-top))
	}
	return strings.TrimSpace(b.String())
}
