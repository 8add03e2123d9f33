package shed_test

import (
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag/shed"
)

// FuzzShedder plays a server that becomes late and punctual again while requests come and go, against a model that knows
// only what the package guarantees. Each pair of bytes is a stretch of time: what happens in it, and how much of it.
func FuzzShedder(f *testing.F) {
	f.Add([]byte{0, 200, 1, 50, 0, 255, 2, 10, 3, 40, 0, 100})
	f.Add([]byte{1, 255, 0, 255, 1, 0, 0, 255})
	f.Add([]byte{4, 1, 1, 200, 0, 255, 4, 200, 0, 255, 3, 255, 0, 9})
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) > 64 {
			t.Skip("long enough")
		}
		synctest.Test(t, func(t *testing.T) { play(t, script) })
	})
}

func play(t *testing.T, script []byte) {
	const (
		minVolume = 50
		maxGap    = 255 * time.Millisecond
	)
	late := new(source)
	s := shed.New(late, shed.Policy{MinVolume: minVolume})
	var (
		began       = time.Now()
		admitted    [3]uint64
		refused     [3]uint64
		gap         = time.Millisecond            // between two rounds of requests
		fewSince    = began.Add(1000 * time.Hour) // since when requests have been few
		timelySince = began                       // since when the source has not been late
		longSince   time.Time                     // since when it has been late by more than two targets; zero if it is not
		shedding    bool                          // it may be
	)
	stood := func() {
		if time.Since(timelySince) > 26*target {
			shedding = false
		}
		shedding = shedding || !longSince.IsZero() && time.Since(longSince) >= 4*target
	}
	for len(script) >= 2 {
		op, n := script[0]%5, script[1]
		script = script[2:]
		now := time.Now()
		stood()
		switch op {
		case 0: // requests, for up to 2.55 s
			for end := now.Add(time.Duration(n) * 10 * time.Millisecond); time.Now().Before(end); time.Sleep(gap) {
				stood()
				for p := range shed.Priority(3) {
					if s.Allow(p) {
						admitted[p]++
						continue
					}
					refused[p]++
					require.NotEqual(t, shed.Critical, p)
					require.True(t, shedding, "refused before a queue stood")
					require.Less(t, time.Since(timelySince), 26*target, "refused though nothing is late")
					require.Less(t, time.Since(fewSince), 5*time.Second, "refused though there is little to do")
				}
			}
		case 1: // late by up to 5.1 s
			late.set(time.Duration(n) * 20 * time.Millisecond)
			if age := time.Duration(n) * 20 * time.Millisecond; age <= 2*target {
				longSince = time.Time{}
			} else if longSince.IsZero() {
				longSince = now
			}
			if n > 0 {
				timelySince = now.Add(1000 * time.Hour)
			} else {
				timelySince = now
			}
		case 2: // the probe stops
			late.set(0)
			longSince, timelySince = time.Time{}, now
		case 3: // nobody asks
			time.Sleep(time.Duration(n) * 10 * time.Millisecond)
		case 4: // more or fewer requests
			gap = max(time.Millisecond, maxGap*time.Duration(n)/255)
			// Two of each round are not critical. The average comes near a rate only slowly, so half of the minimum is few.
			if 2*time.Second/gap >= minVolume/2 {
				fewSince = now.Add(1000 * time.Hour)
			} else if fewSince.After(now) {
				fewSince = now
			}
		}
		stats := s.Stats()
		require.Equal(t, shed.Counts{Normal: admitted[0], Sheddable: admitted[1], Critical: admitted[2]}, stats.Admitted)
		require.Equal(t, shed.Counts{Normal: refused[0], Sheddable: refused[1], Critical: refused[2]}, stats.Refused)
		require.LessOrEqual(t, stats.Share, 0.9)
		require.GreaterOrEqual(t, stats.Share, 0.0)
	}
	// Of each priority at most nine tenths: eight standard deviations of the number that was refused.
	for p := range refused {
		n := float64(admitted[p] + refused[p])
		require.LessOrEqual(t, float64(refused[p]), 0.9*n+3*math.Sqrt(n)+1)
	}
}
