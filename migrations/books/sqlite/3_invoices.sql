-- Imported exports. A batch is one file; nothing reads its rows before its seal.
CREATE TABLE import_batches (
    batch       TEXT    PRIMARY KEY,     -- UUIDv7
    opened_at   INTEGER NOT NULL,
    provider    TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    format      TEXT    NOT NULL,        -- openai_cost, openai_usage, anthropic_cost, anthropic_tokens
    scope       TEXT    NOT NULL,        -- filter the export was made with, '' for all
    file_name   TEXT    NOT NULL,
    file_sha256 TEXT    NOT NULL,
    file_bytes  INTEGER NOT NULL,
    header      TEXT    NOT NULL,        -- JSON array of the column names
    header_fingerprint TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- One row makes the batch count; without it the batch is ignored and swept.
CREATE TABLE import_seals (
    batch     TEXT    PRIMARY KEY,
    sealed_at INTEGER NOT NULL,
    summary   TEXT    NOT NULL,          -- JSON: rows by kind, sums, period, days, warnings, replaced
    hash      TEXT    NOT NULL           -- over the rows in order
) STRICT, WITHOUT ROWID;

-- Takes a sealed batch back. Appended, never deleted.
CREATE TABLE import_withdrawals (
    batch        TEXT    PRIMARY KEY,
    withdrawn_at INTEGER NOT NULL,
    actor        TEXT    NOT NULL,
    reason       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Days a batch speaks for. Of all sealed, not withdrawn batches with the same provider, account,
-- format and scope the newest seal speaks for a day.
CREATE TABLE import_days (
    batch TEXT NOT NULL,
    day   TEXT NOT NULL,                 -- provider's day, YYYY-MM-DD UTC
    PRIMARY KEY (batch, day)
) STRICT, WITHOUT ROWID;

CREATE TABLE billed_lines (
    batch       TEXT    NOT NULL,
    row         INTEGER NOT NULL,        -- data row in the file, from 1
    day         TEXT    NOT NULL,
    category    TEXT    NOT NULL,
    currency    TEXT    NOT NULL,
    billed_cost TEXT    NOT NULL,        -- canonical decimal
    model       TEXT,
    meter       TEXT,
    line        TEXT    NOT NULL,        -- the line as JSON
    raw         TEXT    NOT NULL,        -- every cell, JSON array of [name, value]
    PRIMARY KEY (batch, row)
) STRICT, WITHOUT ROWID;
CREATE INDEX billed_lines_by_day ON billed_lines (day);

CREATE TABLE usage_rows (
    batch TEXT    NOT NULL,
    row   INTEGER NOT NULL,
    day   TEXT    NOT NULL,
    model TEXT,
    usage TEXT    NOT NULL,              -- the usage row as JSON
    raw   TEXT    NOT NULL,
    PRIMARY KEY (batch, row)
) STRICT, WITHOUT ROWID;
CREATE INDEX usage_rows_by_day ON usage_rows (day);

-- The invoice document, as a person typed it: what an export does not hold.
CREATE TABLE invoice_documents (
    id       INTEGER PRIMARY KEY,
    said_at  INTEGER NOT NULL,
    actor    TEXT    NOT NULL,
    provider TEXT    NOT NULL,
    account  TEXT    NOT NULL,
    period   TEXT    NOT NULL,           -- 2026-10
    currency TEXT    NOT NULL,
    total    TEXT,                       -- canonical decimals; null: not given
    tax      TEXT,
    credits  TEXT
) STRICT;

-- Reconciliation reports, whole and unchanged.
CREATE TABLE reports (
    report      TEXT    PRIMARY KEY,     -- UUIDv7
    made_at     INTEGER NOT NULL,
    provider    TEXT    NOT NULL,
    account     TEXT    NOT NULL,
    period      TEXT    NOT NULL,
    inputs_hash TEXT    NOT NULL,        -- of everything it was computed from
    status      TEXT    NOT NULL,
    body        TEXT    NOT NULL         -- the report as JSON
) STRICT, WITHOUT ROWID;
CREATE INDEX reports_by_period ON reports (provider, account, period, made_at);

-- A person closed a month on a report.
CREATE TABLE closings (
    id        INTEGER PRIMARY KEY,
    closed_at INTEGER NOT NULL,
    actor     TEXT    NOT NULL,
    provider  TEXT    NOT NULL,
    account   TEXT    NOT NULL,
    period    TEXT    NOT NULL,
    report    TEXT    NOT NULL,
    inputs_hash TEXT  NOT NULL,
    note      TEXT    NOT NULL
) STRICT;
