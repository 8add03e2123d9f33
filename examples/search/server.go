package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/grove-go/grove/examples/internal/kit"
	"github.com/grove-go/grove/examples/search/internal/rediscache"
	"github.com/grove-go/grove/examples/search/internal/store"
	"github.com/grove-go/grove/examples/search/internal/web"
	"github.com/grove-go/grove/looplag"
	"github.com/grove-go/grove/looplag/shed"
	"github.com/grove-go/grove/shutdown"
)

// serve runs a server, from its listeners to the last of its connections.
func serve(ctx context.Context, c config, stderr io.Writer) error {
	log := slog.New(slog.NewTextHandler(stderr, nil))
	app, err := shutdown.New(shutdown.Config{Logger: log})
	if err != nil {
		return err
	}
	telemetry, err := kit.NewTelemetry(log)
	if err != nil {
		return err
	}
	telemetry.App(app)
	site := web.Config{Budget: c.Budget, Log: log}
	progress := newProgress(stderr, log)
	if c.Postgres.URL != "" {
		c.Postgres.Timeout = c.Budget
		site.Database, err = addPostgres(app, c.Postgres, progress)
	} else {
		var db *store.SQLite
		if db, err = addSQLite(app, telemetry, progress); err == nil {
			site.Database, site.Stats = db, db.Pool().Stats
		}
	}
	if err != nil {
		return err
	}
	if c.Redis.URL != "" {
		c.Redis.Log = log
		if site.Shared, err = addRedis(app, c.Redis); err != nil {
			return err
		}
	}

	// Both addresses are taken before anything is loaded, so that one which is in use is told at once. The components
	// close the listeners; those of an app that does not come so far are closed here.
	users, err := listen(ctx, "-addr", c.Addr)
	if err != nil {
		return err
	}
	defer users.Close() //nolint:errcheck // closed before, if all went well
	operators, err := listen(ctx, "-debug", c.Debug)
	if err != nil {
		return err
	}
	defer operators.Close() //nolint:errcheck // as above

	probe := looplag.New(looplag.Config{})
	telemetry.Probe(probe)
	handler := telemetry.Recover(web.New(site))
	if c.Shed {
		shedder := shed.New(probe, shed.Policy{})
		telemetry.Shedder(shedder)
		handler = shedder.Middleware(handler)
	}
	app.Add(
		shutdown.Component{Name: "looplag", Phase: shutdown.Telemetry, Run: probe.Run},
		telemetry.Component(),
		kit.Debug(app, operators, telemetry),
		serveHTTP(users, handler, c.Budget, log),
		shutdown.Component{Name: "announcement", Phase: shutdown.Announce, Start: func(context.Context) error {
			log.Info("serving", "url", "http://"+users.Addr().String(), "debug", "http://"+operators.Addr().String())
			return nil
		}},
	)
	return app.Run(telemetry.Context(ctx)) // with which everything that is started within is observed
}

// listen takes the address that a flag names.
func listen(ctx context.Context, flag string, addr kit.Addr) (net.Listener, error) {
	ln, err := new(net.ListenConfig).Listen(ctx, "tcp", addr.String())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return ln, nil
}

// patience is how long a client may take to send a request, and to take its answer. Without it one that does neither
// would hold up a stop until the stop's own time is over.
const patience = 5 * time.Second

// serveHTTP is the component that serves users, whose requests may take budget.
func serveHTTP(ln net.Listener, handler http.Handler, budget time.Duration, log *slog.Logger) shutdown.Component {
	return shutdown.HTTP("http", &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: patience,
		ReadTimeout:       patience + budget, // also ends the context of a request that is served for longer
		WriteTimeout:      patience + budget,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}, ln)
}

// addSQLite adds the database in this process, with one worker for each processor. It stops in two steps: what runs in
// its pool ends before its file is closed.
func addSQLite(app *shutdown.App, telemetry *kit.Telemetry, progress store.Progress) (*store.SQLite, error) {
	db, err := store.NewSQLite(runtime.GOMAXPROCS(0))
	if err != nil {
		return nil, err
	}
	telemetry.Executor(db.Pool())
	app.Add(
		shutdown.Component{
			Name:  "sqlite",
			Start: func(ctx context.Context) error { return db.Start(ctx, progress) },
			Stop:  func(context.Context) error { return db.Close() },
		},
		shutdown.Component{Name: "sqlite pool", Phase: shutdown.Work, Needs: []string{"sqlite"}, Stop: db.Drain},
	)
	return db, nil
}

// addPostgres adds the database in a server.
func addPostgres(app *shutdown.App, c store.PostgresConfig, progress store.Progress) (store.Database, error) {
	db, err := store.NewPostgres(c)
	if err != nil {
		return nil, &kit.UsageError{Err: fmt.Errorf("-postgres or GROVE_POSTGRES: want a URL such as postgres://user@127.0.0.1:5432/db: %w", err)}
	}
	app.Add(shutdown.Component{
		Name:         "postgres",
		Start:        func(ctx context.Context) error { return db.Start(ctx, progress) },
		StartTimeout: time.Minute, // another replica may be loading
		// The look-ups have ended with their requests: all that could still take time is a server that hangs.
		StopTimeout: time.Second,
		Stop:        db.Drain,
	})
	return db, nil
}

// addRedis adds the shared cache. It stops in two steps: writes in the background end before the connections close.
func addRedis(app *shutdown.App, c rediscache.Config) (web.Shared, error) {
	cache, err := rediscache.New(c)
	if err != nil {
		return nil, &kit.UsageError{Err: fmt.Errorf("-redis or GROVE_REDIS: want a URL such as redis://127.0.0.1:6379: %w", err)}
	}
	app.Add(
		shutdown.Component{
			Name:  "redis",
			Start: cache.Start,
			Stop:  func(context.Context) error { cache.Close(); return nil },
		},
		shutdown.Component{Name: "write-back", Phase: shutdown.Work, Needs: []string{"redis"}, Stop: cache.Drain},
	)
	return cache, nil
}
