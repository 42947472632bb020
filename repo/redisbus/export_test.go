package redisbus

import "time"

// Patient gives a cluster's nodes that long for a call of Ship, and has one that failed
// left alone for good. It is called before the bus is used.
func (b *Bus) Patient(limit time.Duration) {
	b.limit, b.failures.rest = limit, time.Hour
}
