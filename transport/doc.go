// Package transport is how the outside talks to the hub: HTTP and JSON, tokens
// and cookies, Server-Sent Events, the WebSocket, and the page's files. The wire
// contract is in spec/openapi.yaml and spec/asyncapi.yaml, which it serves.
//
// # Where things are
//
// [Server] (server.go, with its settings in options.go) makes the values below, and its
// routes say which call answers which request. Each value has what its calls need:
//
//	people       users.go, login.go (POST /token)
//	chats        sessions.go, history.go (a session's messages), chat.go (asking and
//	             following), sse.go (the answer as an event stream)
//	files        attachments.go
//	settings     settings.go, providers.go, prices.go, usage.go
//	operation    operation.go (readiness), metrics.go, warnings.go
//	site         pages.go: the files of the page
//	connections  connections.go: what is open for long, and whether its login still holds;
//	             clients.go counts it; ws.go is a WebSocket, commands.go and inbox.go
//	             what a client sends over it
//
// What these share:
//
//	edge     edge.go, address.go, hosts.go, cookies.go: proxies, names, origins, TLS
//	door     auth.go: access tokens, and which calls need one
//	lockout  lockout.go, throttle.go: guessing passwords; hasher.go and passwordrules.go
//	intake   intake.go, body.go, uploads.go, budget.go: what requests bring, within bounds
//
// deadline.go bounds what a request may call, slowclient.go waits for those who read
// slowly, queue.go has the calls that read much run one after the other, audit.go has the
// lines about security, and errors.go makes problems (RFC 9457) of errors.
//
// Package outlet writes to the connections of viewers without waiting for them. What else
// is here is one package, as every call speaks of requests that the door has let in, of
// bodies that the intake has read, and of problems.
package transport
