// Package hub is OmniChat's core: who is talking, what was said, and who must
// hear about it now.
//
// A stream is the live form of one answer. What happens in it is an event, and
// its seq is the only clock a client may trust: whoever shows the last seq it
// saw gets every later event once and in order, over WebSocket and SSE alike.
// An answer belongs to the hub, never to the connection that asked for it.
//
// # Where things are
//
// [Hub] (hub.go, with its settings in options.go) is the front: it wires the values below
// and offers what transport calls. Each value has its own lock and can be read without the
// others.
//
// A token's way: the provider yields it, and its stream takes it. The committer gathers
// what all streams have and ships it to a ledger, which outlives the process. Then it is
// shown: it is appended to the stream's log in the session's feed, and the flusher has every
// viewer of the feed written what it lacks. The files on that way, the engine:
//
//	ask.go           asker: from a question to its stream
//	generate.go      generator: an answer in rounds, from its first token to its stored end
//	calling.go       calling: the calls of tools, as the model writes them
//	stream.go        stream: one answer that this replica runs
//	streams.go       streams: all of them; admission, and forgetting
//	commit.go        committer: what all streams have said, in one append to the ledger
//	laggards.go      laggards: the streams whose own logs refuse, beside the others
//	ledger.go        ledger: where that goes; the journal of the database, in one process
//	sharedledger.go  ... and the logs on the bus, with checkpoints, for several replicas
//	feed.go          feed: what happens in a session, or to a user; livelog.go is a stream in it
//	feeds.go         feeds: all of them; presence, and versions that heal what was missed
//	flush.go         flusher: has every viewer written what it lacks
//	viewer.go        Viewer: one client's places, and the sink that it is written to
//
// What a client says to its viewer is in commands.go; attach.go finds one stream to
// follow; subscription.go is a viewer's place in a feed, and owed.go the answers that
// have ended since.
//
// Other replicas: peers.go is what the hub needs of them; alone.go a hub without any, and
// sharing.go one with them. It is made of an outbox (outbox.go: what is published), a
// mirror (mirror.go: what the others publish) and a keeper (lease.go: who may run and
// settle what); busnotes.go is what they tell each other. settle.go ends the answers of
// an owner that died.
//
// Prompts: prompt.go, titles.go, notices.go (what is told beside the text), failure.go
// (what a user may see of a provider's error). Models: catalogue.go, made of listings.go
// (what providers list), prices.go, and shipped.go (what is known of common models).
// bill.go adds up what an answer has used: like titles.go, it observes generations.
// limits.go is what a user may use, and revoke.go tells which logins have ended.
//
// The nouns know nothing of all that: access.go (who asks, and what they may do),
// account.go, endpoint.go, errors.go, event.go, file.go, id.go, message.go, money.go,
// order.go, part.go, price.go, question.go, session.go, settings.go, usage.go. The plural of a noun is what the hub does about it for transport:
// sessions.go, messages.go, files.go, endpoints.go; the shorter calls are in calls.go.
// Interfaces to other folders: [Store] and [Journal] in store.go, [Bus] and [Leases] in
// bus.go, [Provider] in provider.go, [Sink] in viewer.go; cmd/omnichat plugs in what
// implements them.
//
// # Packages
//
// What needs no noun is a package of its own: eventlog (the log of one stream, the kinds
// of its events, its framings, and the batches in which it travels), pace (when providers are read),
// background (goroutines, panics, trying again), room (bytes that are held at a time),
// picture, plain and title. The values above are none, as all of them speak of
// sessions and messages: those are the hub's nouns, which every other folder knows by
// its name, and a package below that used them and was used by the hub would close a
// circle.
//
// # Versions beside each other
//
// While replicas are replaced by newer ones, both run. Each says with its lease in which
// format it can read what others write (peers.go), and none writes what the oldest of
// them cannot read: neither on the bus nor in the database, whose migrations only add.
// Until the last old one has gone, calls are told with the end of their answer alone, and
// text that turns out to be thought stays where it is.
//
// # Locks
//
// They are taken in this order: a viewer's, the streams', the feeds', a feed's, the
// flusher's; and the streams', a stream's, the committer's or that of a room. A feed's lock
// and a stream's are never held together; under the lease's lock no other is taken.
package hub
