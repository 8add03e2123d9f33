package kit

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/grove-go/grove/shutdown"
)

// UsageError tells that a server was started in a wrong way, and what would be right.
type UsageError struct{ Err error }

// Error returns the text of Err.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *UsageError) Unwrap() error { return e.Err }

// Parse sets the flags of fs from args, and those that are not there from the environment, where -addr is called
// GROVE_ADDR. It returns a *[UsageError], or flag.ErrHelp after printing the flags when that is what was asked for.
func Parse(fs *flag.FlagSet, args []string, getenv func(string) string) error {
	out := fs.Output()
	fs.SetOutput(io.Discard) // flag would print every error, with all flags, before it returns it
	err := fs.Parse(args)
	fs.SetOutput(out)
	switch {
	case errors.Is(err, flag.ErrHelp):
		_, err = fmt.Fprintf(out, "Flags of %s; each is also read from the environment, -addr as GROVE_ADDR:\n", fs.Name())
		fs.PrintDefaults()
		return errors.Join(flag.ErrHelp, err)
	case err == nil && fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	if err != nil {
		var flags []string
		fs.VisitAll(func(f *flag.Flag) { flags = append(flags, "-"+f.Name) })
		return &UsageError{fmt.Errorf("%w; there are %s", err, strings.Join(flags, ", "))}
	}
	return parseEnv(fs, getenv)
}

// parseEnv sets the flags that have not been set.
func parseEnv(fs *flag.FlagSet, getenv func(string) string) error {
	set := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { set[f.Name] = true })
	var wrong error
	fs.VisitAll(func(f *flag.Flag) {
		name := "GROVE_" + strings.ToUpper(f.Name)
		if value := getenv(name); value != "" && !set[f.Name] && wrong == nil {
			if err := fs.Set(f.Name, value); err != nil {
				wrong = &UsageError{fmt.Errorf("invalid value %q for %s: %w", value, name, err)}
			}
		}
	})
	return wrong
}

// Exit prints err, if there is one, and returns the exit code of the process: 0 for success and for help, 2 for a
// [UsageError], otherwise what shutdown.ExitCode says. What is printed is a single line, unless there are stacks in it: of
// what was stuck, or of where a panic began.
func Exit(w io.Writer, name string, err error) int {
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	code := shutdown.ExitCode(err)
	if _, ok := errors.AsType[*UsageError](err); ok {
		code = 2
	}
	text := err.Error()
	_, panicked := errors.AsType[*shutdown.PanicError](err)
	if code <= 2 && !panicked {
		text = strings.Join(strings.Fields(text), " ")
	}
	fmt.Fprintf(w, "%s: %s\n", name, text) //nolint:errcheck // the code says it, too
	return code
}

// Addr is the flag.Value of an address to listen on.
type Addr string

// String returns the address.
func (a *Addr) String() string { return string(*a) }

// Set accepts host:port with a numeric port.
func (a *Addr) Set(s string) error {
	_, port, err := net.SplitHostPort(s)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return errors.New("want host:port, such as 127.0.0.1:8080, with a port from 0 to 65535")
	}
	*a = Addr(s)
	return nil
}
