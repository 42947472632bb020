-- +goose Up
-- The bytes of a session's messages. Triggers add to them, so that what a program
-- of before writes is counted, too; who deletes messages counts anew.
CREATE TABLE session_sizes (
    session_id UUID PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    bytes      BIGINT NOT NULL
);

-- +goose StatementBegin
CREATE FUNCTION count_message_bytes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    added BIGINT := octet_length(NEW.content) + octet_length(NEW.reasoning);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        added := added - octet_length(OLD.content) - octet_length(OLD.reasoning);
    END IF;
    INSERT INTO session_sizes AS s (session_id, bytes) VALUES (NEW.session_id, added)
    ON CONFLICT (session_id) DO UPDATE SET bytes = s.bytes + EXCLUDED.bytes;
    RETURN NULL;
END
$$;
-- +goose StatementEnd

CREATE TRIGGER messages_added AFTER INSERT ON messages FOR EACH ROW EXECUTE FUNCTION count_message_bytes();
CREATE TRIGGER messages_rewritten AFTER UPDATE OF content, reasoning ON messages FOR EACH ROW EXECUTE FUNCTION count_message_bytes();

-- Nobody adds messages meanwhile: the triggers' locks are held.
INSERT INTO session_sizes (session_id, bytes)
SELECT session_id, sum(octet_length(content) + octet_length(reasoning)) FROM messages GROUP BY session_id;
