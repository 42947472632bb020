package transport

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// BenchmarkDelivery is one token to one WebSocket.
func BenchmarkDelivery(b *testing.B) {
	s := quiet(time.Hour)
	got := make(chan *socket, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w, _, err := accept(s, rw, r)
		if err != nil {
			b.Error(err)
		}
		got <- w
	}))
	defer srv.Close()
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
	w := <-got
	line := []byte(`{"type":"delta","message_id":"0198f1c2-0000-7000-8000-000000000000","seq":12345,"text":" token"}` + "\n")
	b.ReportAllocs()
	for b.Loop() {
		for !w.Write(line) {
			runtime.Gosched()
		}
	}
	_ = w.conn.CloseNow()
	<-read
}
