//go:build !unix

package shutdown

import (
	"net"
	"os"
)

func readNow(net.Conn, []byte) (int, error) { return 0, os.ErrDeadlineExceeded }

func refuse(socket) error { return nil }

func acceptRest(ln socket) []net.Conn {
	ln.Close() //nolint:errcheck // nothing can be done about it
	return nil
}
