-- +goose Up
ALTER TABLE messages
    ADD COLUMN attachments       TEXT, -- JSON, as tool_calls, notices and opaque
    ADD COLUMN tool_calls        TEXT,
    ADD COLUMN notices           TEXT,
    ADD COLUMN thinking_ms       BIGINT NOT NULL DEFAULT 0,
    ADD COLUMN cost              BIGINT, -- billionths of a US dollar; NULL: unknown
    ADD COLUMN usage_estimated   BOOLEAN NOT NULL DEFAULT FALSE,
    ADD COLUMN error_retry_after BIGINT NOT NULL DEFAULT 0, -- seconds
    ADD COLUMN opaque            TEXT;

ALTER TABLE sessions
    ADD COLUMN temperature      DOUBLE PRECISION,
    ADD COLUMN max_tokens       BIGINT,
    ADD COLUMN reasoning_effort TEXT NOT NULL DEFAULT '';

CREATE TABLE files (
    id         UUID PRIMARY KEY,
    user_id    UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id UUID REFERENCES sessions (id) ON DELETE CASCADE, -- NULL until a question binds it
    name       TEXT NOT NULL,
    media_type TEXT NOT NULL,
    size       BIGINT NOT NULL,
    sha256     BYTEA NOT NULL,
    created_at TIMESTAMPTZ NOT NULL,
    in_folder  BOOLEAN NOT NULL -- otherwise it lies in file_parts
);
CREATE INDEX files_session ON files (session_id);
CREATE INDEX files_user ON files (user_id);
CREATE INDEX files_unbound ON files (created_at) WHERE session_id IS NULL;

CREATE TABLE file_parts (
    file_id UUID NOT NULL REFERENCES files (id) ON DELETE CASCADE,
    part    BIGINT NOT NULL, -- their order
    data    BYTEA NOT NULL,
    PRIMARY KEY (file_id, part)
);

CREATE TABLE spendings (
    id               UUID PRIMARY KEY,
    user_id          UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_id       UUID, -- may be gone
    model            TEXT NOT NULL,
    input_tokens     BIGINT NOT NULL,
    output_tokens    BIGINT NOT NULL,
    cached_tokens    BIGINT NOT NULL,
    reasoning_tokens BIGINT NOT NULL,
    cost             BIGINT, -- billionths of a US dollar; NULL: unknown
    estimated        BOOLEAN NOT NULL,
    at               TIMESTAMPTZ NOT NULL
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
    user_id        UUID PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    system_prompt  TEXT NOT NULL,
    fallback_model TEXT NOT NULL
);

CREATE TABLE endpoints (
    owner      TEXT NOT NULL, -- user_id, or '' for everyone's
    name       TEXT NOT NULL,
    user_id    UUID REFERENCES users (id) ON DELETE CASCADE,
    kind       TEXT NOT NULL,
    base_url   TEXT NOT NULL,
    sealed_key BYTEA, -- encrypted; NULL: there is none
    updated_at TIMESTAMPTZ NOT NULL,
    PRIMARY KEY (owner, name),
    CHECK (owner = coalesce(CAST(user_id AS TEXT), ''))
);
CREATE INDEX endpoints_user ON endpoints (user_id);
