// Package telemetry is what operators of the server see: logs, metrics, probes
// and profiles.
package telemetry
