// Package conformance holds rankings to one model: the same submissions, removals
// and faults must give the same pages and ranks on every layout of the ranking as
// they give on a sorted list in memory.
package conformance
