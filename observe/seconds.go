package observe

import (
	"strconv"
	"strings"
	"time"
)

// seconds is a duration that JSON has in seconds and text in three digits.
type seconds time.Duration

// MarshalJSON implements json.Marshaler.
func (s seconds) MarshalJSON() ([]byte, error) {
	return strconv.AppendFloat(nil, time.Duration(s).Seconds(), 'g', -1, 64), nil
}

func (s seconds) String() string {
	d := time.Duration(s)
	if d < 0 {
		return "-" + (-s).String()
	}
	if whole := d.Round(time.Second); whole >= time.Hour {
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	} else if whole >= time.Minute {
		return whole.String()
	}
	unit := time.Duration(1)
	for d >= 1000*unit {
		unit *= 10
	}
	return d.Round(unit).String()
}
