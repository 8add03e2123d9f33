// Package interop holds tests of package shutdown against the servers and clients of gRPC. It is a module of its own so
// that gRPC is no dependency of Grove.
package interop
