// Command omnibench measures OmniChat beside other things on the same machine
// in the same minutes: a floor that does nothing but write to sockets, and an
// older build.
//
// It starts everything that it measures, as processes on loopback addresses,
// each round afresh and in turn, and is the provider and all clients itself.
// Each token carries its number and the time at which the provider sent it, so
// that whatever arrives shows how late it is and whether anything is missing,
// doubled or out of order; if so the exit code is 1. Absolute figures mean
// little on a machine that others use: read the ratios and their spread.
//
// A [viewer] is one client, read together with many others by few goroutines;
// a [stream] is one answer, which a [source] sends at the provider's end; a
// [target] is what is measured; a [report] is what is printed. It runs on Linux.
//
//	omnibench fanout -streams 200 -viewers 3                    beside both floors
//	omnibench fanout -streams 1 -viewers 1000 -closed           as fast as they read
//	omnibench fanout -streams 1 -viewers 5000 -rate 4 -settle 150s
//	omnibench fanout -against old/omnichat -targets omnichat,against
//	omnibench chat -streams 200 -db sqlite,postgres
//	omnibench chat -streams 1 -fast -tokens 1000000 -waves 0
//	omnibench chat -streams 250 -ramp
//	omnibench replicas
//	omnibench growth -what viewers,streams
package main
