-- Guesses at passwords and codes, counted by all instances of auth together. Digests by the signing key: a name that is nobody's may be
-- a password, and is written down nowhere.
CREATE TABLE guesses (
    account  VARCHAR(64) NOT NULL,
    place    VARCHAR(64) NOT NULL, -- of the account, and a network address; empty: all of them together
    failures BIGINT      NOT NULL,
    last_ms  BIGINT      NOT NULL, -- of the last failure, or sign-in
    trusted  BIGINT      NOT NULL, -- 1: its owner has signed in from there
    PRIMARY KEY (account, place)
);
CREATE INDEX guesses_by_time ON guesses (trusted, last_ms);
