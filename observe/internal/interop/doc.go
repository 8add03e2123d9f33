// Package interop tests observe with what it meets: OpenTelemetry's SDK, its Prometheus exporter, otelhttp, and a browser.
package interop
