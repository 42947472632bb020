// Package eventlog is the events of one stream, in memory and on the wire.
//
// Events are of a few kinds (kind.go); text, thoughts and calls make up the parts of an
// answer. A [Log] (log.go) has a stream's events in order. Whoever shows the seq that it
// has seen takes a [Piece] of what follows: the bytes as they are for those who keep up,
// merged deltas for those who are behind, a snapshot for those who are new. A [Framing]
// (framing.go) makes bytes of that, and a viewer brings its own along. A [Batch] (batch.go)
// is how replicas tell each other what was added. Nothing here knows who follows a stream,
// nor how it is sent.
package eventlog
