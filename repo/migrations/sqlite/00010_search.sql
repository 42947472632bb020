-- +goose Up
-- The form in which a title or a message is searched, of those whose own text
-- with the letters A to Z made small is another.
CREATE TABLE search_forms (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    message_id TEXT REFERENCES messages (id) ON DELETE CASCADE, -- NULL: of the title
    form       TEXT NOT NULL
);
CREATE INDEX search_forms_session ON search_forms (session_id);
CREATE UNIQUE INDEX search_forms_title ON search_forms (session_id) WHERE message_id IS NULL;
CREATE UNIQUE INDEX search_forms_message ON search_forms (message_id);

-- Tables whose rows of before have no forms yet, from an id on.
CREATE TABLE search_left (
    name TEXT PRIMARY KEY,
    id   TEXT NOT NULL
);
INSERT INTO search_left SELECT 'sessions', '00000000-0000-0000-0000-000000000000' WHERE EXISTS (SELECT 1 FROM sessions);
INSERT INTO search_left SELECT 'messages', '00000000-0000-0000-0000-000000000000' WHERE EXISTS (SELECT 1 FROM messages);
