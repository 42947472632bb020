// Package eventlog is the events of one stream, in memory and on the wire.
//
// A [Log] has a stream's events in order. Whoever shows the seq that it has seen
// takes a [Piece] of what follows: the bytes as they are for those who keep up,
// one merged delta for those who are behind, a snapshot for those who are new. A
// [Batch] is how replicas tell each other what was added. Nothing here knows who
// follows a stream, nor how it is sent.
package eventlog
