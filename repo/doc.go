// Package repo keeps OmniChat's state in a database: an embedded SQLite file,
// or PostgreSQL. Both hold the same tables, run the same queries through bun,
// and pass the same tests. A [Repo] is hub's Store and Journal, and keeps the
// accounts. Methods are use cases; each is one transaction, but for the bytes of
// attached files, which go in parts or into a folder.
package repo
