package shutdown

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"
)

const (
	// notifyWait is how long a service manager that reads nothing may hold up the app.
	notifyWait = 100 * time.Millisecond
	// exitTime is what is left to the process after Run has returned.
	exitTime = time.Second
)

// The service manager needs to be told of the stop once only: that it is over by Timeout is what the app is for.
func (a *App) notifyStopping() {
	a.notify(fmt.Sprintf("STOPPING=1\nEXTEND_TIMEOUT_USEC=%d", (a.config.Timeout + exitTime).Microseconds()))
}

func (a *App) notifyReady() { a.notify("READY=1") }

// notify tells the service manager that started the process, if it wants to know, as sd_notify(3) does: in one datagram
// to the socket that NOTIFY_SOCKET names, by its path or, after an @, in the abstract namespace.
func (a *App) notify(state string) {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Net: "unixgram", Name: name})
	if err == nil {
		defer c.Close()                                //nolint:errcheck // the datagram is sent, or the error told
		c.SetWriteDeadline(time.Now().Add(notifyWait)) //nolint:errcheck // as above
		_, err = c.Write([]byte(state))
	}
	if err != nil {
		a.log.Warn("shutdown: cannot notify the service manager", slog.Any("error", err))
	}
}
