// Package hub is OmniChat's core: who is talking, what was said, and who must
// hear about it now.
//
// A stream is the live form of one answer. What happens in it is an event, and
// its seq is the only clock a client may trust: whoever shows the last seq it
// saw gets every later event once and in order, over WebSocket and SSE alike.
// An answer belongs to the hub, never to the connection that asked for it.
//
// A token's way: the provider yields it to its stream (stream.go); the committer
// (commit.go) gathers what all streams have and ships it to a ledger (ledger.go),
// the database's journal or the logs that replicas share; then it is shown, which
// appends it to the stream's log (eventlog) in the session's feed (feed.go); the
// flusher (flush.go) has every viewer of the feed (viewer.go) written what it lacks.
// What is done for and with other replicas is behind peers (peers.go): sharing, or
// alone. Package pace says when providers are read.
//
// Locks are taken in this order: a viewer's, the hub's, a feed's, the flusher's; and
// the hub's, a stream's, the committer's. A feed's is never held with a stream's.
//
// Hub states what it needs from other folders as interfaces ([Store],
// [Journal], [Provider], [Sink]); cmd/omnichat plugs them in.
package hub
