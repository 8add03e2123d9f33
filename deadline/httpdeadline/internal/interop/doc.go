// Package interop holds tests of package httpdeadline against the clients of gRPC and Connect. It is a module of its
// own so that neither is a dependency of Grove.
package interop
