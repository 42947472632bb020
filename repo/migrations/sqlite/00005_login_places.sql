-- +goose Up
CREATE TABLE login_places (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network TEXT NOT NULL, -- an address, or an IPv6 /64, that a login succeeded from
    at      TIMESTAMP NOT NULL, -- the last time
    PRIMARY KEY (user_id, network)
);
