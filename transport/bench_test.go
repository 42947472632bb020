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
	s := quiet(time.Hour)
	defer s.Shutdown(context.Background())
	type opened struct {
		w    *socket
		room chan struct{}
	}
	got := make(chan opened, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w, room, err := accept(s, rw, r)
		if err != nil {
			b.Error(err)
		}
		got <- opened{w, room}
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
	o := <-got
	line := []byte(`{"type":"delta","message_id":"0198f1c2-0000-7000-8000-000000000000","seq":12345,"text":" token"}` + "\n")
	b.ReportAllocs()
	for b.Loop() {
		if !o.w.Write(line) { // it is kept until there is room
			<-o.room
		}
	}
	_ = o.w.conn.CloseNow()
	<-read
	s.conns.clients.remove(o.w)
	s.conns.clients.exit()
}

func BenchmarkParseCommand(b *testing.B) {
	in := []byte(`{"type":"send","ref":3,"session_id":"0198f1c2-0000-7000-8000-000000000000","message_id":"0198f1c2-0000-7000-8000-000000000001","answer_id":"0198f1c2-0000-7000-8000-000000000002","parent_id":null,"content":"Please tell me all that you know of the city of Rome, and of its fountains.","model":"openai/gpt-5-mini","temperature":0.7}`)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, err := parseCommand(in); err != nil {
			b.Fatal(err)
		}
	}
}
