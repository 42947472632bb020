-- +goose Up
-- What the answers that a replica runs have used up to now, as JSON by user.
ALTER TABLE replicas ADD COLUMN under_way TEXT NOT NULL DEFAULT '{}';
