// Package transport is how the outside talks to the hub: HTTP and JSON, tokens
// and cookies, Server-Sent Events, the WebSocket, and the page's files. The wire
// contract is in spec/openapi.yaml and spec/asyncapi.yaml, which it serves.
package transport
