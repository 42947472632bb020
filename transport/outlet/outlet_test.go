package outlet

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// TestFinish finishes an outlet while it has something to send: that still comes, whole,
// and what is written meanwhile or afterwards does not.
func TestFinish(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var workers sync.WaitGroup
	var out Outlet
	out.init(server, time.Minute, &workers)
	batch := bytes.Repeat([]byte("z"), 64<<10)
	n := 1
	for ; out.Write(batch); n++ {
		if n > 10_000 {
			t.Fatal("there is room for everything")
		}
	}
	if out.Write(batch) {
		t.Error("there is room while something is kept")
	}
	n++
	out.Finish()
	if out.Write([]byte("late")) {
		t.Error("there is room after Finish")
	}
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, bytes.Repeat(batch, n)) {
		t.Errorf("%d bytes came in place of %d, or other ones: %v", len(got), n*len(batch), err)
	}
	workers.Wait()
	if out.Write([]byte("late")) {
		t.Error("there is room after the end")
	}
}

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
