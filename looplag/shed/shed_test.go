package shed_test

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/looplag/shed"
)

// target is the default of Policy.Target.
const target = 25 * time.Millisecond

// A source is as late as a test sets it.
type source struct{ age, asked atomic.Int64 }

func (s *source) set(age time.Duration) { s.age.Store(int64(age)) }

func (s *source) Overdue() time.Duration {
	s.asked.Add(1)
	return time.Duration(s.age.Load())
}

// bubble runs f with a Shedder on the fake clock.
func bubble(t *testing.T, policy shed.Policy, f func(t *testing.T, s *shed.Shedder, late *source)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		late := new(source)
		f(t, shed.New(late, policy), late)
	})
}

// ask asks for a request of each of the priorities every millisecond, for d, and returns how many were refused.
func ask(s *shed.Shedder, d time.Duration, ps ...shed.Priority) (refused shed.Counts) {
	before := s.Stats().Refused
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, p := range ps {
			s.Allow(p)
		}
	}
	after := s.Stats().Refused
	return shed.Counts{
		Normal:    after.Normal - before.Normal,
		Sheddable: after.Sheddable - before.Sheddable,
		Critical:  after.Critical - before.Critical,
	}
}

func TestNothingIsRefusedWhileNothingIsLate(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		late.set(target)
		require.Zero(t, ask(s, time.Minute, shed.Normal, shed.Sheddable, shed.Critical))
		require.Zero(t, s.Stats().Share)
		require.Equal(t, target, s.Stats().Wait)
	})
}

func TestBurstIsNotRefused(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		for range 10 {
			late.set(time.Second)
			require.Zero(t, ask(s, 3*target, shed.Normal, shed.Sheddable))
			late.set(0)
			require.Zero(t, ask(s, 8*target, shed.Normal, shed.Sheddable))
		}
	})
}

func TestQueueThatStandsIsRefusedInPart(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		ask(s, time.Second, shed.Normal)
		late.set(2*target + time.Millisecond)
		require.Zero(t, ask(s, 4*target, shed.Normal))
		refused := ask(s, 4*target, shed.Normal) // another look each 10 ms
		require.InDelta(t, 30, refused.Normal, 29)
		require.InDelta(t, 0.4, s.Stats().Share, 0.15)
	})
}

func TestSheddingBeginsAboveTwoTargetsAndEndsBelowOne(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		late.set(2 * target)
		require.Zero(t, ask(s, time.Minute, shed.Normal))
		late.set(3 * target)
		ask(s, 10*target, shed.Normal)
		late.set(target * 5 / 4)
		began := s.Stats().Share
		require.Positive(t, began)
		ask(s, time.Second, shed.Normal)
		require.Greater(t, s.Stats().Share, began/2, "still too late")
		late.set(target / 2)
		ask(s, 3*time.Second, shed.Normal)
		require.Zero(t, s.Stats().Share)
		late.set(target * 3 / 2)
		require.Zero(t, ask(s, time.Second, shed.Normal))
	})
}

func TestShareFollowsTheWait(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		late.set(5 * target)
		ask(s, 6*target, shed.Normal)
		for range 5 {
			before := s.Stats().Share
			ask(s, 20*time.Millisecond, shed.Normal)
			require.Greater(t, s.Stats().Share, before-1e-9)
		}
		require.InDelta(t, 0.9, s.Stats().Share, 1e-9)
		late.set(0)
		ask(s, 30*time.Millisecond, shed.Normal) // until it is seen twice
		for range 5 {
			before := s.Stats().Share
			ask(s, 20*time.Millisecond, shed.Normal)
			require.Less(t, s.Stats().Share, before)
		}
	})
}

func TestNormalRequestsAreRefusedWhenSheddableOnesAreNotEnough(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		late.set(2*target + 1)
		for s.Stats().Share < 0.3 {
			require.Zero(t, ask(s, time.Millisecond, shed.Normal, shed.Sheddable).Normal)
		}
		require.Positive(t, s.Stats().Refused.Sheddable)
		for s.Stats().Share < 0.8 {
			ask(s, time.Millisecond, shed.Normal, shed.Sheddable)
		}
		refused := ask(s, time.Second, shed.Normal, shed.Sheddable)
		require.InDelta(t, 900, refused.Sheddable, 60)
		require.Greater(t, refused.Normal, uint64(500))
	})
}

func TestCriticalRequestsAreNeverRefused(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		late.set(time.Hour)
		refused := ask(s, time.Minute, shed.Normal, shed.Critical)
		require.Zero(t, refused.Critical)
		require.Positive(t, refused.Normal)
		require.Equal(t, uint64(60_000), s.Stats().Admitted.Critical)
	})
}

func TestAtMostNineTenthsOfAPriorityAreRefused(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		late.set(time.Hour)
		ask(s, time.Second, shed.Normal, shed.Sheddable)
		refused := ask(s, time.Minute, shed.Normal, shed.Sheddable)
		require.InDelta(t, 54_000, refused.Normal, 600) // eight standard deviations
		require.InDelta(t, 54_000, refused.Sheddable, 600)
		require.InDelta(t, 0.9, s.Stats().Share, 1e-9)
	})
}

func TestFewRequestsAreNotRefused(t *testing.T) {
	few := func(s *shed.Shedder, each time.Duration) uint64 {
		for range 1000 {
			s.Allow(shed.Normal)
			s.Allow(shed.Critical)
			time.Sleep(each)
		}
		return s.Stats().Refused.Normal
	}
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		late.set(time.Second)
		require.Zero(t, few(s, time.Second/18))
		require.Positive(t, few(s, time.Second/22))
	})
	bubble(t, shed.Policy{MinVolume: 1}, func(t *testing.T, s *shed.Shedder, late *source) {
		late.set(time.Second)
		require.Positive(t, few(s, time.Second/18))
	})
}

func TestSheddingEndsWhenTheSourceStops(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		late.set(time.Hour)
		ask(s, time.Second, shed.Normal)
		require.Positive(t, s.Stats().Share)
		late.set(0)
		ask(s, 25*target, shed.Normal)
		require.Zero(t, ask(s, time.Minute, shed.Normal))
		require.Zero(t, s.Stats().Share)
	})
}

func TestProbeThatDoesNotRunRefusesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := shed.New(looplag.New(looplag.Config{}), shed.Policy{})
		require.Zero(t, ask(s, time.Minute, shed.Normal, shed.Sheddable))
	})
}

func TestStallThatIsOverIsNotHeldAgainstRequests(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		ask(s, time.Second, shed.Normal)
		time.Sleep(time.Minute) // nothing runs
		late.set(time.Minute)
		require.Zero(t, ask(s, target, shed.Normal))
		late.set(0)
		require.Zero(t, ask(s, time.Minute, shed.Normal))
	})
}

func TestQueueHasToStandForFourTargets(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		ask(s, time.Second, shed.Normal)
		time.Sleep(time.Millisecond / 2) // never at the same moment as a look
		late.set(3 * target)
		for s.Stats().Wait == 0 {
			ask(s, time.Millisecond, shed.Normal)
		}
		seen := time.Now()
		for s.Stats().Share == 0 {
			ask(s, time.Millisecond, shed.Normal)
		}
		require.Equal(t, 4*target, time.Since(seen))
	})
}

func TestWaitsOfAnyLengthAreForgottenAsSoonAsThoseOfFiveTargets(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		ask(s, time.Second, shed.Normal)
		late.set(time.Hour)
		ask(s, 7*target, shed.Normal)
		require.InDelta(t, 0.9, s.Stats().Share, 1e-9)
		late.set(0)
		ask(s, 8*target, shed.Normal)
		require.Less(t, s.Stats().Share, 0.2)
	})
}

// stalling is a source after the first look of which, since stall was set, that time has passed.
type stalling struct {
	source
	stall atomic.Int64
}

func (s *stalling) Overdue() time.Duration {
	time.Sleep(time.Duration(s.stall.Swap(0)))
	return s.source.Overdue()
}

func TestStallIsNotTakenForATimeInWhichRequestsWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := new(stalling)
		s := shed.New(late, shed.Policy{MinVolume: 1})
		ask(s, time.Second, shed.Normal)
		late.set(2*target + 1)
		for s.Stats().Share == 0 {
			ask(s, time.Millisecond, shed.Normal)
		}
		before := s.Stats().Share
		late.stall.Store(int64(10 * time.Second))
		ask(s, 10*time.Second+10*time.Millisecond, shed.Normal)
		require.Positive(t, s.Stats().Share)
		require.Less(t, s.Stats().Share, before+0.2)
	})
}

func TestSourceIsAskedOnlyWhileThereAreRequests(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
		time.Sleep(time.Minute)
		require.Zero(t, late.asked.Load())
		ask(s, 10*time.Second, shed.Critical)
		asked := late.asked.Load()
		require.InDelta(t, 200, asked, 2, "each 50 ms")
		time.Sleep(time.Minute)
		require.LessOrEqual(t, late.asked.Load(), asked+21, "for another second")
		asked = late.asked.Load()
		late.set(2 * target)
		ask(s, 10*time.Second, shed.Normal)
		require.InDelta(t, 1000, late.asked.Load()-asked, 10, "each 10 ms when late")
	})
}

func TestTimerStopsASecondAfterTheLastRequestHoweverLateTheSourceIs(t *testing.T) {
	for _, each := range []time.Duration{time.Millisecond / 10, 200 * time.Millisecond} { // so many that some are refused, and few
		bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, late *source) {
			late.set(time.Hour)
			for began := time.Now(); time.Since(began) < 3*time.Second; time.Sleep(each) {
				s.Allow(shed.Normal)
			}
			require.Equal(t, each < time.Millisecond, s.Stats().Share > 0)
			time.Sleep(time.Second + 20*time.Millisecond) // two looks
			asked := late.asked.Load()
			time.Sleep(time.Minute)
			require.Equal(t, asked, late.asked.Load())
		})
	}
}

func TestStatsCountByPriority(t *testing.T) {
	bubble(t, shed.Policy{}, func(t *testing.T, s *shed.Shedder, _ *source) {
		require.Zero(t, s.Stats())
		for range 3 {
			require.True(t, s.Allow(shed.Critical))
		}
		require.True(t, s.Allow(shed.Sheddable))
		require.Equal(t, shed.Counts{Sheddable: 1, Critical: 3}, s.Stats().Admitted)
		require.Zero(t, s.Stats().Refused)
	})
}

func TestAllowAllocatesNothing(t *testing.T) {
	s := shed.New(new(source), shed.Policy{})
	s.Allow(shed.Normal) // makes the timer
	require.Zero(t, testing.AllocsPerRun(1000, func() { s.Allow(shed.Normal) }))
}

func TestMisuseIsRefused(t *testing.T) {
	late := new(source)
	for want, f := range map[string]func(){
		"shed: New called with a nil source":                        func() { shed.New(nil, shed.Policy{}) },
		"shed: Policy.Target is 9ms, must be at least 10ms":         func() { shed.New(late, shed.Policy{Target: 9 * time.Millisecond}) },
		"shed: Policy.MinVolume is -1, must be at least 1":          func() { shed.New(late, shed.Policy{MinVolume: -1}) },
		"shed: Policy.RetryAfter is 1.9s, must be at least 2s":      func() { shed.New(late, shed.Policy{RetryAfter: 1900 * time.Millisecond}) },
		"shed: Policy.Target is 1m0.001s, must be at most 1m0s":     func() { shed.New(late, shed.Policy{Target: time.Minute + time.Millisecond}) },
		"shed: Policy.RetryAfter is 1h0m1s, must be at most 1h0m0s": func() { shed.New(late, shed.Policy{RetryAfter: time.Hour + time.Second}) },
		"shed: Middleware called with a nil handler":                func() { shed.New(late, shed.Policy{}).Middleware(nil) },
		"shed: a Shedder that New has not made":                     func() { new(shed.Shedder).Allow(shed.Normal) },
		"shed: Allow called with priority(3)":                       func() { shed.New(late, shed.Policy{}).Allow(3) },
	} {
		require.PanicsWithValue(t, want, f)
	}
}

func TestPrioritiesHaveNames(t *testing.T) {
	require.Equal(t, "normal sheddable critical", shed.Normal.String()+" "+shed.Sheddable.String()+" "+shed.Critical.String())
}
