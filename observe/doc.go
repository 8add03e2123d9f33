// Package observe shows what the other packages do: metrics and traces for OpenTelemetry, a log of failures, and a live page.
package observe
