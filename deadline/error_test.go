package deadline_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/deadline"
)

func TestErrorIsATimeoutToEverybodyWhoAsks(t *testing.T) {
	err := error(&deadline.Error{Name: "db", Limit: time.Second})
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.NotErrorIs(t, err, context.Canceled)
	require.True(t, os.IsTimeout(err))

	var asNet net.Error
	require.ErrorAs(t, fmt.Errorf("query: %w", err), &asNet)
	require.True(t, asNet.Timeout())

	asURL := &url.Error{Op: "Get", URL: "http://db", Err: err}
	require.True(t, asURL.Timeout())
	require.ErrorIs(t, asURL, context.DeadlineExceeded)
}

func TestErrorUnwrapsToTheFailure(t *testing.T) {
	require.ErrorIs(t, &deadline.Error{Name: "db", Err: io.ErrUnexpectedEOF}, io.ErrUnexpectedEOF)
	require.NoError(t, errors.Unwrap(&deadline.Error{Name: "db"}))
}

func TestErrorTextNamesTheBudgetAndWhatCameOfIt(t *testing.T) {
	for _, c := range []struct {
		err  deadline.Error
		text string
	}{
		{deadline.Error{Name: "db", Limit: 50 * time.Millisecond}, "deadline: db: 50ms exceeded"},
		{deadline.Error{Name: "db", Limit: -50 * time.Millisecond}, "deadline: db: exceeded"},
		{deadline.Error{Name: "db", Limit: 50 * time.Millisecond, Err: context.DeadlineExceeded}, "deadline: db: 50ms exceeded"},
		{deadline.Error{Name: "db", Limit: 50 * time.Millisecond, Err: io.EOF}, "deadline: db: 50ms exceeded: EOF"},
		{deadline.Error{Name: "request", Limit: time.Second, Inherited: true, Err: io.EOF}, "deadline: request: 1s exceeded (inherited): EOF"},
		{deadline.Error{Inherited: true}, "deadline: exceeded (inherited)"},
		{deadline.Error{Name: "db"}, "deadline: db: exceeded"},
	} {
		require.Equal(t, c.text, c.err.Error())
	}
}
