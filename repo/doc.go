// Package repo keeps OmniChat's state in a database: an embedded SQLite file,
// or PostgreSQL. Both hold the same tables, run the same queries through bun,
// and pass the same tests. A [Repo] is hub's Store, Journal and Leases, and keeps the
// accounts. Methods are use cases; each is one transaction, but for the bytes of
// attached files, which go in parts or into a folder.
//
// The tables are in migrations/, and their rows in rows.go. Queries are in the file of
// what they are about: accounts.go, sessions.go, messages.go, answers.go (from a question
// to the end of its answer), order.go and layout.go (what an answer has beside its
// message), journal.go, leases.go, files.go and folder.go (the bytes of
// files), search.go, settings.go, endpoints.go and seal.go (keys of providers, encrypted),
// prices.go, usage.go, quota.go. access.go narrows all of them to what an access knows
// of. repo.go opens a database, gate.go lets one writer into
// SQLite at a time, bound.go has the statements that every answer needs, errors.go makes
// hub's errors of the database's, and guard.go and lock_unix.go keep a second process away
// that would not share.
//
// Programs of before may run on the same database while replicas are replaced: migrations
// only add. What is new of answers lies in a table of its own, as the programs of before
// that know no such table read whole rows of messages and stop at a column that they do not
// know; this one leaves such a column aside.
//
// Package redisbus is hub's Bus on Redis; pgtest and redistest start real servers for
// tests.
package repo
