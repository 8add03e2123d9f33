package main

import (
	"flag"
	"io"
	"time"

	"github.com/grove-go/grove/examples/internal/kit"
	"github.com/grove-go/grove/examples/search/internal/rediscache"
	"github.com/grove-go/grove/examples/search/internal/store"
)

// config is what a server is made with.
type config struct {
	Addr, Debug kit.Addr
	// Budget is what a request may take.
	Budget time.Duration
	// Shed says whether requests are refused when the server is late.
	Shed bool
	// Redis without a URL means that there is no shared cache; Postgres without one that SQLite is the database.
	Redis    rediscache.Config
	Postgres store.PostgresConfig
}

// configure reads the configuration from flags and the environment. Its error is a *kit.UsageError or flag.ErrHelp.
func configure(args []string, getenv func(string) string, stderr io.Writer) (config, error) {
	c := config{Addr: "127.0.0.1:8080", Debug: "127.0.0.1:6060", Budget: 300 * time.Millisecond}
	fs := flag.NewFlagSet("search", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Var(&c.Addr, "addr", "`host:port` for users")
	fs.Var(&c.Debug, "debug", "`host:port` for operators: /livez, /readyz, /metrics, /debug/grove, /debug/pprof")
	fs.BoolVar(&c.Shed, "shed", true, "refuse requests when the server is late; -shed=false shows what happens otherwise")
	fs.StringVar(&c.Redis.URL, "redis", "", "`URL` of a Redis to share a cache in, such as redis://127.0.0.1:6379")
	fs.StringVar(&c.Postgres.URL, "postgres", "",
		"`URL` of a Postgres to search in instead of SQLite, such as postgres://user@127.0.0.1:5432/db")
	return c, kit.Parse(fs, args, getenv)
}
