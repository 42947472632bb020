-- +goose Up
-- The bytes of a session's messages. Triggers add to them, so that what a program
-- of before writes is counted, too; who deletes messages counts anew.
CREATE TABLE session_sizes (
    session_id TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    bytes      BIGINT NOT NULL
);

-- +goose StatementBegin
CREATE TRIGGER messages_added AFTER INSERT ON messages BEGIN
    INSERT INTO session_sizes (session_id, bytes) VALUES (NEW.session_id, octet_length(NEW.content) + octet_length(NEW.reasoning))
    ON CONFLICT (session_id) DO UPDATE SET bytes = bytes + EXCLUDED.bytes;
END;
-- +goose StatementEnd

-- +goose StatementBegin
CREATE TRIGGER messages_rewritten AFTER UPDATE OF content, reasoning ON messages BEGIN
    UPDATE session_sizes SET bytes = bytes + octet_length(NEW.content) + octet_length(NEW.reasoning)
        - octet_length(OLD.content) - octet_length(OLD.reasoning)
    WHERE session_id = NEW.session_id;
END;
-- +goose StatementEnd

INSERT INTO session_sizes (session_id, bytes)
SELECT session_id, sum(octet_length(content) + octet_length(reasoning)) FROM messages GROUP BY session_id;
