-- +goose Up
-- What an answer has beside its message. It is a table of its own as programs of before
-- read whole rows of messages. Without a row, an answer was asked for with nothing set and
-- has thought first, if at all, and then said its text.
CREATE TABLE answers (
    message_id TEXT PRIMARY KEY REFERENCES messages (id) ON DELETE CASCADE,
    parameters TEXT, -- with which it was asked for, as JSON
    layout     TEXT  -- its parts, as JSON, without their texts
);

-- The format in which a replica can read what others write.
ALTER TABLE replicas ADD COLUMN format INTEGER NOT NULL DEFAULT 1;
