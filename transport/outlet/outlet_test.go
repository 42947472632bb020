package outlet

import (
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// BenchmarkWrite is one token to one of 200 viewers, over loopback. Every viewer reads
// 200 tokens at a time, so that the writes are what costs.
func BenchmarkWrite(b *testing.B) {
	const viewers, each = 200, 200
	line := []byte(`{"type":"delta","message_id":"0198f1c2-0000-7000-8000-000000000000","seq":12345,"text":" token"}` + "\n")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var workers sync.WaitGroup
	defer workers.Wait()
	outs, clients := make([]Outlet, viewers), make([]net.Conn, viewers)
	for i := range outs {
		if clients[i], err = net.Dial("tcp", l.Addr().String()); err != nil {
			b.Fatal(err)
		}
		defer clients[i].Close()
		server, err := l.Accept()
		if err != nil {
			b.Fatal(err)
		}
		outs[i].init(server, time.Minute, &workers)
		defer outs[i].Cut()
	}
	got := make([]byte, each*len(line))
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		at := n % viewers
		if !outs[at].Write(line) {
			b.Fatal("there is no room")
		}
		if n/viewers%each == each-1 {
			b.StopTimer()
			if _, err := io.ReadFull(clients[at], got); err != nil {
				b.Fatal(err)
			}
			b.StartTimer()
		}
	}
}
