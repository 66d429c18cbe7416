-- Content of calls, kept only for callers that are set to it, and only for as long as that says.
-- A database of its own, so that it can be deleted, and left out of a backup, as a whole. No record:
-- rows go when their time is over or when somebody says so.

CREATE TABLE captured (
    attempt      TEXT    PRIMARY KEY,    -- UUIDv7, as in the books
    request      TEXT    NOT NULL,       -- UUIDv7 of the request it belongs to
    caller       TEXT    NOT NULL,       -- the caller that is set to it
    days         INTEGER NOT NULL,       -- for how long, when it was captured
    captured_at  INTEGER NOT NULL,       -- microseconds UTC
    expires_at   INTEGER NOT NULL,       -- microseconds UTC; gone from then on
    asked        TEXT,                   -- the beginning of the request's body; null where it is no text
    asked_bytes  INTEGER NOT NULL,       -- its whole length
    answer       TEXT,                   -- the beginning of the answer's body, as the provider sent it
    answer_bytes INTEGER NOT NULL
) STRICT;

CREATE INDEX captured_by_request ON captured (request);
CREATE INDEX captured_by_expiry ON captured (expires_at);
CREATE INDEX captured_by_caller ON captured (caller);
