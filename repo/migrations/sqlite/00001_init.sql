-- +goose Up
CREATE TABLE users (
    id            TEXT PRIMARY KEY,
    username      TEXT NOT NULL,
    username_key  TEXT NOT NULL UNIQUE, -- folded: names that differ in case are one
    display_name  TEXT NOT NULL,
    role          TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    version       BIGINT NOT NULL DEFAULT 0,
    created_at    TIMESTAMP NOT NULL
);

CREATE TABLE grant_families (
    id         TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    revoked_at TIMESTAMP
);

CREATE TABLE grants (
    hash        BLOB PRIMARY KEY,
    family_id   TEXT NOT NULL REFERENCES grant_families (id) ON DELETE CASCADE,
    parent_hash BLOB,
    replaced_at TIMESTAMP,
    expires_at  TIMESTAMP NOT NULL
);
CREATE INDEX grants_family ON grants (family_id);
CREATE INDEX grants_expiry ON grants (expires_at);

CREATE TABLE sessions (
    id            TEXT PRIMARY KEY,
    user_id       TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    title         TEXT NOT NULL,
    model         TEXT NOT NULL,
    system_prompt TEXT NOT NULL,
    version       BIGINT NOT NULL,
    list_version  BIGINT NOT NULL, -- the user's, when its place in the list last changed
    created_at    TIMESTAMP NOT NULL,
    updated_at    TIMESTAMP NOT NULL
);
CREATE INDEX sessions_list ON sessions (user_id, updated_at DESC, id DESC);
CREATE INDEX sessions_changes ON sessions (user_id, list_version);

CREATE TABLE session_tombstones (
    session_id TEXT PRIMARY KEY,
    user_id    TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    version    BIGINT NOT NULL
);
CREATE INDEX session_tombstones_changes ON session_tombstones (user_id, version);

CREATE TABLE messages (
    id                TEXT PRIMARY KEY,
    session_id        TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    parent_id         TEXT REFERENCES messages (id) ON DELETE CASCADE,
    role              TEXT NOT NULL,
    content           TEXT NOT NULL,
    reasoning         TEXT NOT NULL,
    status            TEXT NOT NULL,
    finish_reason     TEXT,
    provider          TEXT NOT NULL,
    model             TEXT NOT NULL,
    input_tokens      BIGINT,
    output_tokens     BIGINT,
    cached_tokens     BIGINT,
    reasoning_tokens  BIGINT,
    error_code        TEXT,
    error_detail      TEXT,
    seq               BIGINT NOT NULL,
    version           BIGINT NOT NULL,
    added             BIGINT NOT NULL, -- the session's version when it was added
    epoch             BIGINT NOT NULL,
    owner             TEXT NOT NULL,
    stop_requested_at TIMESTAMP,
    created_at        TIMESTAMP NOT NULL,
    finished_at       TIMESTAMP
);
CREATE INDEX messages_order ON messages (session_id, added);
CREATE INDEX messages_changes ON messages (session_id, version);
CREATE INDEX messages_parent ON messages (parent_id);
CREATE INDEX messages_streaming ON messages (status) WHERE status = 'streaming';

CREATE TABLE message_tombstones (
    message_id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    version    BIGINT NOT NULL
);
CREATE INDEX message_tombstones_changes ON message_tombstones (session_id, version);

CREATE TABLE journal (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    entries BLOB NOT NULL
);
