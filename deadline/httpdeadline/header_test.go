package httpdeadline_test

import (
	"math"
	"math/big"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline/httpdeadline"
)

func TestGRPCTimeoutsAreDigitsAndAUnit(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"1H":        time.Hour,
		"2M":        2 * time.Minute,
		"3S":        3 * time.Second,
		"200m":      200 * time.Millisecond,
		"0u":        0,
		"07u":       7 * time.Microsecond,
		"99999999n": 99999999,
		"99999999S": 99999999 * time.Second,
		"99999999H": math.MaxInt64,
	} {
		got, ok := httpdeadline.ParseGRPC(value)
		require.True(t, ok, value)
		require.Equal(t, want, got, value)
	}
	for _, value := range []string{"", "m", "200", "200 m", "-1m", "+1m", "1.5S", "123456789m", "1s", "1h", "1ms", "१m", "1m "} {
		_, ok := httpdeadline.ParseGRPC(value)
		require.False(t, ok, value)
	}
}

func TestMillisecondsAreUpToTenDigits(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"0":          0,
		"250":        250 * time.Millisecond,
		"0250":       250 * time.Millisecond,
		"9999999999": 9999999999 * time.Millisecond,
	} {
		got, ok := httpdeadline.ParseMilliseconds(value)
		require.True(t, ok, value)
		require.Equal(t, want, got, value)
	}
	for _, value := range []string{"", "-1", "+1", "1.5", "1e3", "0x10", "250ms", " 1", "10000000000"} {
		_, ok := httpdeadline.ParseMilliseconds(value)
		require.False(t, ok, value)
	}
}

var (
	grpcForm  = regexp.MustCompile(`^([0-9]{1,8})([HMSmun])$`)
	msForm    = regexp.MustCompile(`^[0-9]{1,10}$`)
	grpcUnits = map[string]time.Duration{"H": time.Hour, "M": time.Minute, "S": time.Second, "m": time.Millisecond, "u": time.Microsecond, "n": 1}
)

// product is what n units are, at most the longest duration.
func product(n string, unit time.Duration) time.Duration {
	x, _ := new(big.Int).SetString(n, 10)
	x.Mul(x, big.NewInt(int64(unit)))
	if !x.IsInt64() {
		return math.MaxInt64
	}
	return time.Duration(x.Int64())
}

func FuzzParseGRPC(f *testing.F) {
	for _, seed := range []string{"1H", "99999999H", "123456789m", "", "-1S", "0n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, ok := httpdeadline.ParseGRPC(value)
		m := grpcForm.FindStringSubmatch(value)
		require.Equal(t, m != nil, ok)
		if ok {
			require.Equal(t, product(m[1], grpcUnits[m[2]]), got)
		}
	})
}

func FuzzParseMilliseconds(f *testing.F) {
	for _, seed := range []string{"1", "9999999999", "10000000000", "", "-1", "00"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		got, ok := httpdeadline.ParseMilliseconds(value)
		require.Equal(t, msForm.MatchString(value), ok)
		if ok {
			require.Equal(t, product(value, time.Millisecond), got)
		}
	})
}

func FuzzMillisecondsAreReadBackNoLonger(f *testing.F) {
	for _, seed := range []int64{0, 1, 999_999, 1_000_000, math.MaxInt64} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, n int64) {
		d := time.Duration(max(n, 0))
		got, ok := httpdeadline.ParseMilliseconds(httpdeadline.Milliseconds(d))
		require.True(t, ok)
		require.LessOrEqual(t, got, d)
		require.True(t, d-got < time.Millisecond || got == 9999999999*time.Millisecond)
	})
}
