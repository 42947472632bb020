-- +goose Up
ALTER TABLE messages ADD COLUMN attachments TEXT; -- JSON, as tool_calls, notices and opaque
ALTER TABLE messages ADD COLUMN tool_calls TEXT;
ALTER TABLE messages ADD COLUMN notices TEXT;
ALTER TABLE messages ADD COLUMN thinking_ms BIGINT NOT NULL DEFAULT 0;
ALTER TABLE messages ADD COLUMN cost BIGINT; -- billionths of a US dollar; NULL: unknown
ALTER TABLE messages ADD COLUMN usage_estimated BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE messages ADD COLUMN error_retry_after BIGINT NOT NULL DEFAULT 0; -- seconds
ALTER TABLE messages ADD COLUMN opaque TEXT;

ALTER TABLE sessions ADD COLUMN temperature DOUBLE PRECISION;
ALTER TABLE sessions ADD COLUMN max_tokens BIGINT;
ALTER TABLE sessions ADD COLUMN reasoning_effort TEXT NOT NULL DEFAULT '';

CREATE TABLE files (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id TEXT REFERENCES sessions (id) ON DELETE CASCADE, -- NULL until a question binds it
    name       TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size       BIGINT NOT NULL,
    sha256     BLOB NOT NULL,
    created_at TIMESTAMP NOT NULL,
    in_folder  BOOLEAN NOT NULL -- otherwise it lies in file_parts
);
CREATE INDEX files_session ON files (session_id);
CREATE INDEX files_user ON files (user_id);
CREATE INDEX files_unbound ON files (created_at) WHERE session_id IS NULL;

CREATE TABLE file_parts (
    file_id TEXT NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    part    BIGINT NOT NULL, -- their order
    data    BLOB NOT NULL,
    PRIMARY KEY (file_id, part)
);

CREATE TABLE spendings (
    id               TEXT PRIMARY KEY,
    user_id          TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id       TEXT, -- may be gone
    model            TEXT NOT NULL,
    input_tokens     BIGINT NOT NULL,
    output_tokens    BIGINT NOT NULL,
    cached_tokens    BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost             BIGINT, -- billionths of a US dollar; NULL: unknown
    estimated        BOOLEAN NOT NULL,
    at               TIMESTAMP NOT NULL
);
CREATE INDEX spendings_user ON spendings (user_id, at);
CREATE INDEX spendings_at ON spendings (at);

CREATE TABLE prices (
    model        TEXT PRIMARY KEY,
    input        DOUBLE PRECISION NOT NULL, -- US dollars for a million tokens
    cached_input DOUBLE PRECISION NOT NULL,
    output       DOUBLE PRECISION NOT NULL
);

CREATE TABLE user_settings (
    user_id        TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    system_prompt  TEXT NOT NULL,
    fallback_model TEXT NOT NULL
);

CREATE TABLE endpoints (
    owner      TEXT NOT NULL, -- user_id, or '' for everyone's
    name       TEXT NOT NULL,
    user_id    TEXT REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    base_url   TEXT NOT NULL,
    sealed_key BLOB, -- encrypted; NULL: there is none
    updated_at TIMESTAMP NOT NULL,
    PRIMARY KEY (owner, name),
    CHECK (owner = coalesce(user_id, ''))
);
CREATE INDEX endpoints_user ON endpoints (user_id);
