package transport

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// BenchmarkDelivery is one token to one WebSocket.
func BenchmarkDelivery(b *testing.B) {
	got := make(chan *websocket.Conn, 1)
	done := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
		if err != nil {
			b.Error(err)
			return
		}
		got <- conn
		<-done
		_ = conn.CloseNow()
	}))
	defer srv.Close()
	defer close(done)
	client, _, err := websocket.Dial(b.Context(), srv.URL, nil)
	if err != nil {
		b.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for {
			if _, _, err := client.Read(context.Background()); err != nil {
				return
			}
		}
	}()
	w := &socket{conn: <-got, stuck: time.AfterFunc(time.Hour, func() {})}
	line := []byte(`{"type":"delta","message_id":"0198f1c2-0000-7000-8000-000000000000","seq":12345,"text":" token"}` + "\n")
	b.ReportAllocs()
	for b.Loop() {
		if err := w.Write(b.Context(), line); err != nil {
			b.Fatal(err)
		}
	}
	_ = client.CloseNow()
	<-read
}
