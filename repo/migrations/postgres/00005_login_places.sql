-- +goose Up
CREATE TABLE login_places (
    user_id UUID NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    network TEXT NOT NULL, -- an address, or an IPv6 /64, that a login succeeded from
    at      TIMESTAMPTZ NOT NULL, -- the last time
    PRIMARY KEY (user_id, network)
);
