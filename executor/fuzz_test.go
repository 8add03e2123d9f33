package executor_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/grove-go/grove/executor"
)

// actor is a call as it really happens, beside its modelCall.
type actor struct {
	*modelCall
	ctx     context.Context // fn's
	cancel  context.CancelFunc
	command chan outcome // what fn is to do
	starts  int
	result  chan outcome // what the caller got
}

type play struct {
	t      *testing.T
	p      *executor.Pool
	model  model
	actors []*actor
	drains []context.CancelFunc
	drain  chan error // what a Drain returned
}

// FuzzPool plays random calls, cancellations, ends and drains, and holds the pool against the model after each step.
func FuzzPool(f *testing.F) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 0))
		script := make([]byte, 30+random.IntN(300))
		for i := range script {
			script[i] = byte(random.Uint32())
		}
		f.Add(script)
	}
	f.Fuzz(func(t *testing.T, script []byte) {
		if len(script) < 3 || len(script) > 1000 {
			return
		}
		synctest.Test(t, func(t *testing.T) { newPlay(t, script[0], script[1], script[2]).run(script[3:]) })
	})
}

// keys are whose calls there are.
var keys = []string{"", "a", "b", "c"}

func newPlay(t *testing.T, workers, queue, features byte) *play {
	queues := []int{executor.NoQueue, 0, 1, 2, 3, 6, 30, executor.Unbounded}
	cfg := executor.Config{Workers: int(workers)%3 + 1, Queue: queues[int(queue)%len(queues)], PerKey: int(features) & 3}
	if features&4 != 0 {
		cfg.MaxWait = 12 * time.Millisecond
	}
	if features&8 != 0 {
		cfg.Overload = &executor.CoDel{Target: 6 * time.Millisecond, Interval: 10 * time.Millisecond}
	}
	if features&16 != 0 {
		cfg.StuckAfter = 20*time.Millisecond + stuckAt
	}
	p, err := executor.New(cfg)
	require.NoError(t, err)
	m := model{Config: cfg, queue: cfg.Queue}
	switch cfg.Queue {
	case 0:
		m.queue = cfg.Workers
	case executor.NoQueue:
		m.queue = 0
	}
	return &play{t: t, p: p, model: m, drain: make(chan error, 100)}
}

// stuckAt is when between two steps calls are found stuck, so that nothing else happens at the same time.
const stuckAt = 500 * time.Microsecond

// pass lets some milliseconds pass.
func (y *play) pass(ms int) {
	for range ms {
		time.Sleep(time.Millisecond)
		synctest.Wait()
		y.model.look(time.Now().Add(stuckAt - time.Millisecond))
		y.model.pass()
		y.check()
	}
}

func (y *play) run(script []byte) {
	for ; len(script) >= 3; script = script[3:] {
		y.step(script[0], script[1], script[2])
		synctest.Wait()
		y.check()
		y.pass(1)
	}
	// Whatever the script did, everything ends.
	for running := y.running(); len(running) > 0; running = y.running() {
		running[0].end(y, value)
	}
	require.NoError(y.t, y.p.Close())
	for _, a := range y.actors {
		a.cancel()
		synctest.Wait()
		require.LessOrEqual(y.t, a.starts, 1)
		require.NotEqual(y.t, none, a.outcome)
	}
}

func (y *play) step(op, arg, who byte) {
	switch op % 16 {
	case 0, 8, 9, 10, 11, 12, 14:
		y.submit(nil, arg, who)
	case 1:
		// A call nested in one that runs, chosen by the high bits.
		if running := y.running(); len(running) > 0 {
			y.submit(running[int(arg>>4)%len(running)], arg, who)
		}
	case 13:
		n := int(arg)%4 + 1
		y.p.Resize(n)
		y.model.resize(n)
	case 2, 15:
		y.finish(arg, value)
	case 3:
		y.finish(arg, panicked)
	case 4:
		y.finish(arg, exited)
	case 5:
		if len(y.actors) > 0 {
			a := y.actors[int(arg)%len(y.actors)]
			a.cancel()
			y.model.endCtx(a.modelCall)
		}
	case 6:
		ctx, cancel := context.WithCancel(context.Background())
		y.drains = append(y.drains, cancel)
		go func() { y.drain <- y.p.Drain(ctx) }()
		y.model.draining = true
	case 7:
		if len(y.drains) > 0 {
			y.giveUp()
		}
	}
}

func (y *play) running() (running []*actor) {
	for _, a := range y.actors {
		if a.running {
			running = append(running, a)
		}
	}
	return running
}

// submit starts a call: its kind is in the low bits of arg.
func (y *play) submit(up *actor, arg, who byte) {
	a := &actor{
		modelCall: &modelCall{
			id: len(y.actors), polite: arg&4 != 0,
			key: keys[who&3], level: executor.Level(who>>2%3) - 1,
		},
		command: make(chan outcome, 1),
		result:  make(chan outcome, 1),
	}
	ctx := context.Background()
	if up != nil {
		a.parent = up.modelCall
		a.polite = false // or it might return, and pass its turn on, before all have learned of the end of up's ctx
		a.ctxEnded = up.ctx.Err() != nil
		ctx = up.ctx
	}
	ctx, a.cancel = context.WithCancel(ctx)
	opts := []executor.CallOption{executor.Name(fmt.Sprint(a.id)), executor.Key(a.key), executor.Priority(a.level)}
	noWait := arg&24 == 24
	if noWait {
		opts = append(opts, executor.NoWait())
	}
	fn := func(ctx context.Context) (int, error) { return a.id, a.fn(y, ctx) }
	call := func() (int, error) { return executor.Do(ctx, y.p, fn, opts...) }
	switch arg & 3 {
	case 1:
		a.inline = true
		opts = append(opts, executor.Inline())
	case 2:
		call = func() (int, error) { return executor.Submit(ctx, y.p, fn, opts...).Await(context.Background()) }
	}
	y.actors = append(y.actors, a)
	y.model.submit(a.modelCall, noWait)
	go func() {
		got := exited // unless call returns
		defer func() { a.result <- got }()
		id, err := call()
		got = outcomeOf(err)
		if err == nil && id != a.id {
			got = "another call's value"
		}
	}()
}

func (a *actor) fn(y *play, ctx context.Context) error {
	a.starts++
	a.ctx = ctx
	if ctx.Err() != nil {
		return errors.New("started although ctx had ended")
	}
	var polite <-chan struct{}
	if a.polite {
		polite = ctx.Done() // nobody else asks for it, since that takes another path
	}
	select {
	case o := <-a.command:
		switch o {
		case panicked:
			panic("as told")
		case exited:
			runtime.Goexit()
		}
	case <-polite:
	}
	return nil
}

// end makes a's fn end.
func (a *actor) end(y *play, o outcome) {
	a.command <- o
	y.model.finish(a.modelCall, o)
	synctest.Wait()
	y.check()
}

func (y *play) finish(arg byte, o outcome) {
	if running := y.running(); len(running) > 0 {
		running[int(arg)%len(running)].end(y, o)
	}
}

// giveUp ends the patience of the first Drain, and checks what the Drains report.
func (y *play) giveUp() {
	waiting := len(y.drains)
	if y.model.cut {
		for _, cancel := range y.drains {
			cancel()
		}
	} else {
		y.drains[0]()
	}
	y.drains = nil
	if !y.model.cut {
		y.model.giveUp()
		synctest.Wait()
		y.check()
		y.pass(99)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		y.model.look(time.Now().Add(stuckAt - time.Millisecond))
		y.model.overdue()
	}
	synctest.Wait()
	y.check()
	for range waiting {
		err := <-y.drain
		running := y.running()
		if len(running) == 0 {
			require.NoError(y.t, err)
			continue
		}
		var drainError *executor.DrainError
		require.ErrorAs(y.t, err, &drainError)
		ages := make(map[string]time.Duration)
		for _, a := range running {
			ages[fmt.Sprint(a.id)] = time.Since(a.started)
		}
		for _, r := range drainError.Running {
			require.Equal(y.t, ages[r.Name], r.Age)
			require.Contains(y.t, string(r.Stack), "executor_test.(*actor).fn(")
			delete(ages, r.Name)
		}
		require.Empty(y.t, ages)
	}
}

// check holds the pool and its calls against the model.
func (y *play) check() {
	got := y.p.Stats()
	got.Refused = executor.Refusals{}
	require.Equal(y.t, y.model.stats(), got)
	for _, a := range y.actors {
		require.Equal(y.t, a.running || !a.started.IsZero(), a.starts == 1, "call %d", a.id)
		select {
		case got := <-a.result:
			want := a.outcome
			if want == either && (got == value || got == left) {
				want = got
			}
			require.Equal(y.t, want, got, "call %d", a.id)
			a.result <- got
		default:
			require.Equal(y.t, none, a.outcome, "call %d", a.id)
		}
	}
}
