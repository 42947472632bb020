-- +goose Up
CREATE TABLE replicas (
    id         TEXT PRIMARY KEY,
    expires_at TIMESTAMP NOT NULL
);
ALTER TABLE journal ADD COLUMN created_at TIMESTAMP NOT NULL DEFAULT '2000-01-01 00:00:00+00:00';
CREATE INDEX messages_owner ON messages (owner) WHERE status = 'streaming';
