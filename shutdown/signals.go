package shutdown

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// echoTime is how long after a signal others are taken for copies of it.
const echoTime = 500 * time.Millisecond

// signals returns where signals come from, and what ends that.
func (a *App) signals() (<-chan os.Signal, func()) {
	if a.config.SignalSource != nil {
		return a.config.SignalSource, func() {}
	}
	c, ignored := make(chan os.Signal, 1), make(chan os.Signal, 1)
	if len(a.config.Signals) > 0 { // Notify would take none for all
		signal.Notify(c, a.config.Signals...)
		// Once somebody asks for it, a write to a log without a reader fails, as others do, and does not end the process.
		signal.Notify(ignored, syscall.SIGPIPE)
	}
	return c, func() {
		signal.Stop(c)
		signal.Stop(ignored)
	}
}

// signalCount counts the signals that are no echoes.
type signalCount struct {
	n    int
	last time.Time
}

// next returns the number of the signal that has just arrived, 0 for an echo.
func (s *signalCount) next() int {
	now := time.Now()
	if s.n > 0 && now.Sub(s.last) < echoTime {
		return 0
	}
	s.n++
	s.last = now
	return s.n
}

// hurry ends the drain delay and the time of the hooks that run, and leaves little to those that follow.
func (a *App) hurry(sig os.Signal) {
	var waiting []string
	for _, h := range a.unfinished() { // before they are hurried, or those that obey at once would not be named
		waiting = append(waiting, hookName(h.step.Component, h.step.Hook))
	}
	close(a.hurried)
	a.log.Warn("shutdown: hurrying", slog.String("signal", sig.String()), slog.Any("waiting", waiting))
}

// force reports what is in the way and ends the process.
func (a *App) force(sig os.Signal) error {
	a.mu.Lock()
	a.forced = sig
	a.mu.Unlock()
	a.giveUp(a.unfinished()...)
	r := a.Report()
	a.log.Error(r.Error())
	a.config.Exit(ExitCode(r))
	return r
}

// number is the number of a signal, as a shell adds it to 128.
func number(sig os.Signal) int {
	if s, ok := sig.(syscall.Signal); ok {
		return int(s)
	}
	return 0
}
