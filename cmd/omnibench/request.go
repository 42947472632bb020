package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// handshake is a WebSocket's (RFC 6455, section 4.1). Nobody checks the answer's key.
const handshake = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"

// send opens a connection of its own and writes a request; its answer has not
// been read.
func send(ctx context.Context, a *account, method, target, head, body string) (net.Conn, *http.Request, error) {
	u, err := url.Parse(target)
	if err != nil {
		return nil, nil, err
	}
	conn, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(ctx, "tcp", u.Host)
	if err != nil {
		return nil, nil, err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n%s", method, u.RequestURI(), u.Host, head)
	if a != nil {
		fmt.Fprintf(&b, "Authorization: Bearer %s\r\n", a.token)
	}
	if body != "" {
		fmt.Fprintf(&b, "Content-Type: application/json\r\nContent-Length: %d\r\n", len(body))
	}
	b.WriteString("\r\n" + body)
	err = conn.SetDeadline(time.Now().Add(60 * time.Second))
	if err == nil {
		_, err = conn.Write([]byte(b.String()))
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, &http.Request{Method: method}, nil
}
