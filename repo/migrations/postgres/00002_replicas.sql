-- +goose Up
CREATE TABLE replicas (
    id         TEXT PRIMARY KEY,
    expires_at TIMESTAMPTZ NOT NULL
);
ALTER TABLE journal ADD COLUMN created_at TIMESTAMPTZ NOT NULL DEFAULT now();
CREATE INDEX messages_owner ON messages (owner) WHERE status = 'streaming';
