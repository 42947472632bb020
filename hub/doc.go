// Package hub is OmniChat's core: who is talking, what was said, and who must
// hear about it now.
//
// A stream is the live form of one answer. What happens in it is an event, and
// its seq is the only clock a client may trust: whoever shows the last seq it
// saw gets every later event once and in order, over WebSocket and SSE alike.
// An answer belongs to the hub, never to the connection that asked for it.
//
// Hub states what it needs from other folders as interfaces ([Store],
// [Journal], [Provider], [Sink]); cmd/omnichat plugs them in.
package hub
