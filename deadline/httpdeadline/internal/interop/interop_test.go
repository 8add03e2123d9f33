package interop_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"connectrpc.com/connect"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/grove-go/grove/deadline"
	"github.com/grove-go/grove/deadline/httpdeadline"
)

// seen is what reaches a server of a client's deadline.
type seen struct {
	header string
	left   time.Duration // negative if there is no deadline
}

// spy calls next with what httpdeadline makes of the request, and tells about it. What next itself might make of the
// header does not count: spy takes it away.
func spy(header string, p httpdeadline.Policy, next http.Handler) (http.Handler, <-chan seen) {
	requests := make(chan seen, 1)
	return httpdeadline.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := seen{r.Header.Get(header), -1}
		if left, ok := deadline.Remaining(r.Context()); ok {
			s.left = left
		}
		requests <- s
		r.Header.Del(header)
		next.ServeHTTP(w, r)
	}), p), requests
}

// serve serves h in HTTP/1 and in HTTP/2 without TLS on loopback.
func serve(t *testing.T, h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return s
}

// health is a gRPC service that answers as often as it is told to.
type health struct {
	grpc_health_v1.UnimplementedHealthServer
	answer chan struct{}
}

func (h *health) Check(context.Context, *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	return &grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}, nil
}

func (h *health) Watch(_ *grpc_health_v1.HealthCheckRequest, stream grpc.ServerStreamingServer[grpc_health_v1.HealthCheckResponse]) error {
	for range h.answer {
		if err := stream.Send(&grpc_health_v1.HealthCheckResponse{Status: grpc_health_v1.HealthCheckResponse_SERVING}); err != nil {
			return err
		}
	}
	return nil
}

// grpcClient returns a client of the service that h serves.
func grpcClient(t *testing.T, h http.Handler) grpc_health_v1.HealthClient {
	s := serve(t, h)
	conn, err := grpc.NewClient(s.Listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, conn.Close()) })
	return grpc_health_v1.NewHealthClient(conn)
}

func grpcServer(t *testing.T, h *health) *grpc.Server {
	server := grpc.NewServer()
	t.Cleanup(server.Stop)
	grpc_health_v1.RegisterHealthServer(server, h)
	return server
}

func TestTheDeadlineOfAGRPCClientIsHonoured(t *testing.T) {
	handler, requests := spy("Grpc-Timeout", httpdeadline.Policy{}, grpcServer(t, &health{}))
	client := grpcClient(t, handler)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	s := <-requests
	require.Regexp(t, `^\d{1,8}[HMSmun]$`, s.header)
	left, _ := deadline.Remaining(ctx)
	require.GreaterOrEqual(t, s.left, left)               // the server's clock starts later
	require.LessOrEqual(t, s.left, time.Hour+time.Second) // grpc-go rounds up to what eight digits hold
}

func TestAGRPCClientWithoutADeadlineGetsNone(t *testing.T) {
	handler, requests := spy("Grpc-Timeout", httpdeadline.Policy{}, grpcServer(t, &health{}))
	client := grpcClient(t, handler)
	_, err := client.Check(t.Context(), &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	require.Equal(t, seen{"", -1}, <-requests)
}

func TestAGRPCClientIsToldWhenThePolicyAllowsLess(t *testing.T) {
	client := grpcClient(t, httpdeadline.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}), httpdeadline.Policy{Max: time.Millisecond}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	_, err := client.Check(ctx, &grpc_health_v1.HealthCheckRequest{})
	require.Equal(t, codes.DeadlineExceeded, status.Code(err))
	require.NoError(t, ctx.Err())
}

func TestAGRPCStreamFlowsThroughTheHandler(t *testing.T) {
	h := &health{answer: make(chan struct{})}
	client := grpcClient(t, httpdeadline.Handler(grpcServer(t, h), httpdeadline.Policy{}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	stream, err := client.Watch(ctx, &grpc_health_v1.HealthCheckRequest{})
	require.NoError(t, err)
	for range 3 { // each message arrives before the next one is sent
		h.answer <- struct{}{}
		_, err := stream.Recv()
		require.NoError(t, err)
	}
	close(h.answer)
	_, err = stream.Recv()
	require.EqualError(t, err, "EOF")
}

// connectClient returns a client, of the protocol that the options choose, of a service behind a Handler.
func connectClient(t *testing.T, header string, p httpdeadline.Policy, answer func(context.Context) error, opts ...connect.ClientOption) (*connect.Client[emptypb.Empty, emptypb.Empty], <-chan seen) {
	const procedure = "/grove.Test/Call"
	handler, requests := spy(header, p, connect.NewUnaryHandler(procedure, func(ctx context.Context, _ *connect.Request[emptypb.Empty]) (*connect.Response[emptypb.Empty], error) {
		return connect.NewResponse(&emptypb.Empty{}), answer(ctx)
	}))
	s := serve(t, handler)
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: &http.Transport{Protocols: protocols}}
	t.Cleanup(client.CloseIdleConnections)
	return connect.NewClient[emptypb.Empty, emptypb.Empty](client, s.URL+procedure, opts...), requests
}

func TestTheDeadlineOfAConnectClientIsHonoured(t *testing.T) {
	for name, c := range map[string]struct {
		header, form string
		opts         []connect.ClientOption
	}{
		"Connect":  {"Connect-Timeout-Ms", `^\d{1,10}$`, nil},
		"gRPC":     {"Grpc-Timeout", `^\d{1,8}[HMSmun]$`, []connect.ClientOption{connect.WithGRPC()}},
		"gRPC-Web": {"Grpc-Timeout", `^\d{1,8}[HMSmun]$`, []connect.ClientOption{connect.WithGRPCWeb()}},
	} {
		t.Run(name, func(t *testing.T) {
			client, requests := connectClient(t, c.header, httpdeadline.Policy{}, func(context.Context) error { return nil }, c.opts...)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			before, _ := deadline.Remaining(ctx)
			_, err := client.CallUnary(ctx, connect.NewRequest(&emptypb.Empty{}))
			require.NoError(t, err)
			s := <-requests
			require.Regexp(t, c.form, s.header)
			left, _ := deadline.Remaining(ctx)
			require.GreaterOrEqual(t, s.left, left-time.Second) // rounded to what the form holds
			require.LessOrEqual(t, s.left, before+time.Second)
		})
	}
}

func TestAConnectClientWithoutADeadlineGetsNone(t *testing.T) {
	client, requests := connectClient(t, "Connect-Timeout-Ms", httpdeadline.Policy{}, func(context.Context) error { return nil })
	_, err := client.CallUnary(t.Context(), connect.NewRequest(&emptypb.Empty{}))
	require.NoError(t, err)
	require.Equal(t, seen{"", -1}, <-requests)
}

func TestAConnectServiceStopsWhenThePolicySaysSo(t *testing.T) {
	client, _ := connectClient(t, "Connect-Timeout-Ms", httpdeadline.Policy{Max: time.Millisecond}, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	_, err := client.CallUnary(ctx, connect.NewRequest(&emptypb.Empty{}))
	require.Equal(t, connect.CodeDeadlineExceeded, connect.CodeOf(err))
	require.NoError(t, ctx.Err())
}
