-- +goose Up
-- A title costs something, and is no answer. Titles of before are counted as answers.
ALTER TABLE spendings ADD COLUMN title BOOLEAN NOT NULL DEFAULT false;
