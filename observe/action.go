package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/pprof"
	"strconv"
	"time"
)

// errCanceled is the cause of groups that were canceled from the live page.
var errCanceled = errors.New("canceled from the live page")

// act does what a POST asks for.
func (p *page) act(w http.ResponseWriter, r *http.Request) {
	if !p.o.cfg.Actions {
		http.Error(w, "Actions are off: observe.Config.Actions allows them.", http.StatusForbidden)
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 4<<10)
	switch action := r.PostFormValue("action"); action {
	case "cancel":
		p.cancel(w, r)
	case "cpu":
		p.download(w, "cpu.pprof", func(to *bytes.Buffer) error { return profileCPU(r.Context(), to) })
	case "heap", "goroutine":
		p.download(w, action+".pprof", func(to *bytes.Buffer) error { return pprof.Lookup(action).WriteTo(to, 0) })
	case "flight":
		p.download(w, "flight.trace", p.record)
	default:
		http.Error(w, "The action is cancel, cpu, heap, goroutine or flight.", http.StatusBadRequest)
	}
}

func (p *page) cancel(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.ParseUint(r.PostFormValue("id"), 10, 64)
	if err != nil {
		http.Error(w, "The id of a group is a number.", http.StatusBadRequest)
		return
	}
	if !p.o.hooks.Cancel(id, errCanceled) {
		http.Error(w, fmt.Sprintf("There is no group %d any more.", id), http.StatusNotFound)
		return
	}
	p.forget()
	if format(r) == "html" { // a browser without scripts, which is to see the page again
		http.Redirect(w, r, r.URL.Path, http.StatusSeeOther)
		return
	}
	fmt.Fprintf(w, "The group %d was canceled.\n", id) //nolint:errcheck // who asked has left
}

// download answers with a file. What goes wrong is told before it begins.
func (p *page) download(w http.ResponseWriter, name string, write func(*bytes.Buffer) error) {
	var file bytes.Buffer
	if err := write(&file); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	w.Write(file.Bytes())
}

// profileTime is how long a CPU profile takes.
const profileTime = 5 * time.Second

func profileCPU(ctx context.Context, to *bytes.Buffer) error {
	if err := pprof.StartCPUProfile(to); err != nil {
		return err // somebody else is taking one
	}
	stop := pprof.StopCPUProfile
	defer stop()
	timer := time.NewTimer(profileTime)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (p *page) record(to *bytes.Buffer) error {
	recorder := p.o.cfg.Recorder
	if recorder == nil {
		return errors.New("the program has no flight recorder: observe.Config.Recorder")
	}
	_, err := recorder.WriteTo(to)
	return err
}
