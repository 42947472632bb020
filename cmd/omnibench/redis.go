package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// redisServer is a real Redis without persistence.
type redisServer struct {
	*process
	dir    string
	client *redis.Client
}

func startRedis(ctx context.Context) (*redisServer, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "omnibench-redis-")
	if err != nil {
		return nil, err
	}
	args := []string{"--bind", "127.0.0.1", "--port", port, "--dir", dir, "--save", "", "--appendonly", "no"}
	r := &redisServer{process: child("redis-server", args, nil), dir: dir}
	if err := r.cmd.Start(); err != nil {
		_ = os.RemoveAll(dir) // nothing is in it
		return nil, fmt.Errorf("start Redis (Debian: apt-get install redis-server): %w", err)
	}
	r.client = redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
	err = patiently(ctx, func() error {
		conn, err := net.Dial("tcp", r.client.Options().Addr) // the client would write of every failure
		if err != nil {
			return err
		}
		conn.Close()
		return r.client.Ping(ctx).Err()
	})
	if err != nil {
		r.stop()
		return nil, fmt.Errorf("start Redis: %w: %s", err, r.logs.String())
	}
	return r, nil
}

func (r *redisServer) url() string { return "redis://" + r.client.Options().Addr }

// counts are the commands that Redis has carried out, bytes in and out, and its
// CPU time.
func (r *redisServer) counts(ctx context.Context) (map[string]float64, error) {
	info, err := r.client.Info(ctx, "stats").Result()
	if err != nil {
		return nil, err
	}
	at := func(field string) (n float64) {
		_, rest, _ := strings.Cut(info, field+":")
		number, _, _ := strings.Cut(rest, "\r\n")
		n, failed := strconv.ParseFloat(number, 64)
		err = errors.Join(err, failed)
		return n
	}
	used, failed := r.cpu()
	return map[string]float64{
		"redis_commands": at("total_commands_processed"),
		"redis_bytes":    at("total_net_input_bytes") + at("total_net_output_bytes"),
		"redis_cpu_us":   float64(used.Microseconds()),
	}, errors.Join(err, failed)
}

func (r *redisServer) stop() {
	_ = r.client.Close()
	r.kill()
	_ = os.RemoveAll(r.dir) // of the temporary folder's, at worst
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}
