package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// proxy is an nginx in front of the replicas.
type proxy struct {
	dir, addr, url string
	process        *exec.Cmd
}

// configuration is what the proxy runs on. proxy_next_upstream sends a request to the other replica when nobody listens at
// the one. It does so, too, when that drops the request, which is not to be hidden here: the error log tells both.
var configuration = template.Must(template.New("").Parse(`
{{if .Root}}user root;{{end}}
daemon off;
worker_processes 1;
pid {{.Dir}}/nginx.pid;
error_log {{.Dir}}/error.log error;
events { worker_connections 1024; }
http {
	access_log off;
	client_body_temp_path {{.Dir}}/body;
	proxy_temp_path {{.Dir}}/proxy;
	fastcgi_temp_path {{.Dir}}/fastcgi;
	uwsgi_temp_path {{.Dir}}/uwsgi;
	scgi_temp_path {{.Dir}}/scgi;
	keepalive_requests 1000000;
	{{range $name, $addrs := .Upstreams}}
	upstream {{$name}} {
		{{range $addrs}}server {{.}} max_fails=0;
		{{end}}
		keepalive 32;
		keepalive_requests 1000000;
	}
	{{end}}
	server {
		listen {{.Addr}};
		proxy_http_version 1.1;
		proxy_set_header Connection "";
		proxy_next_upstream error;
		location / { proxy_pass http://search; }
		location /events {
			proxy_pass http://events;
			proxy_buffering off;
		}
	}
}
`))

// startProxy starts nginx on a port of its own, and returns when it answers.
func startProxy(ctx context.Context, dir string, all replicas) (*proxy, error) {
	addr, err := freeAddr(ctx, "127.0.0.3")
	if err != nil {
		return nil, err
	}
	upstreams := make(map[string][]string)
	for _, r := range all {
		upstreams[r.name] = append(upstreams[r.name], r.addr)
	}
	file, err := os.Create(filepath.Join(dir, "nginx.conf"))
	if err != nil {
		return nil, err
	}
	err = configuration.Execute(file, map[string]any{"Dir": dir, "Addr": addr, "Upstreams": upstreams, "Root": os.Geteuid() == 0})
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, err
	}
	p := &proxy{dir: dir, addr: addr, url: "http://" + addr}
	p.process = exec.CommandContext(context.WithoutCancel(ctx), "nginx", "-p", dir, "-c", file.Name(), "-e", filepath.Join(dir, "error.log"))
	p.process.Stdout, p.process.Stderr = os.Stderr, os.Stderr
	if err := p.process.Start(); err != nil {
		return nil, err
	}
	if err := p.await(ctx); err != nil {
		p.stop()
		return nil, err
	}
	return p, nil
}

// await waits until nginx listens.
func (p *proxy) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", p.addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("nginx does not listen: %w", err)
		}
	}
}

func (p *proxy) stop() {
	p.process.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it has ended already, then
	p.process.Wait()                          //nolint:errcheck // as above
}

// errors counts what the error log tells: requests that were refused by a replica that did not listen, and those that
// one had accepted and dropped, of which it returns the first lines.
func (p *proxy) errors() (refused, dropped int, log string, err error) {
	file, err := os.Open(filepath.Join(p.dir, "error.log"))
	if err != nil {
		return 0, 0, "", err
	}
	defer file.Close() //nolint:errcheck // it was read
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "(111: Connection refused) while connecting to upstream") {
			refused++
			continue
		}
		if dropped++; dropped <= 10 {
			log += "\n" + lines.Text()
		}
	}
	return refused, dropped, log, lines.Err()
}
