-- Who pays. A credential is a keyed fingerprint and its last four characters, never the key.
CREATE TABLE credentials (
    credential TEXT    PRIMARY KEY,
    provider   TEXT    NOT NULL,
    hint       TEXT    NOT NULL,         -- last four characters
    kind       TEXT    NOT NULL,         -- configured, passed_through, subscription
    first_used INTEGER NOT NULL,
    last_used  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What people say of a credential or of a name on an invoice. Appended; the newest of a subject and
-- attribute holds, an empty value takes it back.
CREATE TABLE remarks (
    id        INTEGER PRIMARY KEY,
    said_at   INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    subject   TEXT    NOT NULL,          -- credential:ID, key:PROVIDER/ID, project:.., workspace:..
    attribute TEXT    NOT NULL,          -- name, team, tied_to, known
    value     TEXT    NOT NULL
) STRICT;
CREATE INDEX remarks_by_subject ON remarks (subject, attribute, id);
