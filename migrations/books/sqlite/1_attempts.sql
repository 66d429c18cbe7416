-- The books: what is posted from the journals of all nodes. Pages, budgets and reconciliation read
-- here. Money is INTEGER in 10^-12 of the currency, times are INTEGER microseconds UTC, quantities
-- are INTEGER atoms of their meter. Money is added in Rust, never in SQL.

-- Where posting stands, per node; written in the same transaction as what it posts.
CREATE TABLE posting_cursors (
    node     TEXT    PRIMARY KEY,
    posted_n INTEGER NOT NULL,
    hash     TEXT    NOT NULL            -- of record posted_n: proves the same journal continues
) STRICT, WITHOUT ROWID;

-- An attempt before it was sent: who asks, who pays, where it goes.
CREATE TABLE intents (
    attempt         TEXT    PRIMARY KEY, -- UUIDv7: sorts by time
    request         TEXT    NOT NULL,    -- the id of the reply header
    ordinal         INTEGER NOT NULL,    -- 1 for the first attempt of the request
    node            TEXT    NOT NULL,
    boot            INTEGER NOT NULL,
    n               INTEGER NOT NULL,    -- the journal record it was posted from
    started_at      INTEGER NOT NULL,    -- prices are taken at this instant
    provider        TEXT    NOT NULL,
    endpoint        TEXT    NOT NULL,
    method          TEXT    NOT NULL,
    path            TEXT    NOT NULL,
    model_requested TEXT,
    stream          INTEGER NOT NULL,
    credential      TEXT,                -- keyed fingerprint, see credentials
    caller          TEXT,                -- configured caller that proved itself
    team            TEXT,
    app             TEXT,
    end_user        TEXT,
    tags            TEXT    NOT NULL,    -- JSON array
    label_source    TEXT    NOT NULL,    -- none, claimed, proved
    max_output      INTEGER,             -- bounds an orphan
    request_bytes   INTEGER NOT NULL,
    price_version   TEXT    NOT NULL,
    reservation     TEXT,
    prev_hash       TEXT    NOT NULL,
    hash            TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX intents_by_request ON intents (request);
CREATE INDEX intents_by_start ON intents (started_at);

-- How an attempt ended. revision 0 is the settlement, 1.. are corrections; the highest holds.
CREATE TABLE settlements (
    attempt              TEXT    NOT NULL,
    revision             INTEGER NOT NULL,
    reason               TEXT,           -- of a correction
    actor                TEXT,
    node                 TEXT    NOT NULL,
    boot                 INTEGER NOT NULL,
    n                    INTEGER NOT NULL,
    ended_at             INTEGER NOT NULL,
    outcome              TEXT    NOT NULL,
    http_status          INTEGER,
    error                TEXT,
    first_byte_us        INTEGER,
    duration_us          INTEGER NOT NULL,
    response_bytes       INTEGER NOT NULL,
    model_served         TEXT,
    provider_request_id  TEXT,           -- from headers; not unique, may be missing
    provider_response_id TEXT,           -- from the body; not unique, may be missing
    organization         TEXT,
    project              TEXT,
    workspace            TEXT,
    usage_source         TEXT    NOT NULL,
    usage_raw            TEXT,           -- the provider's object, numbers and short names only
    usage_flags          TEXT    NOT NULL,  -- JSON array
    conditions           TEXT    NOT NULL,  -- JSON object: service_tier, processing, speed, region ...
    usage_parts          TEXT    NOT NULL,  -- JSON array: model, quantities, context tokens
    reported_cost        TEXT,
    billing_class        TEXT    NOT NULL,
    body_hash            TEXT    NOT NULL,  -- SHA-256 of the journal record's body: tells a repeated
                                            -- settlement from a different one
    prev_hash            TEXT    NOT NULL,
    hash                 TEXT    NOT NULL,
    PRIMARY KEY (attempt, revision)
) STRICT, WITHOUT ROWID;
CREATE INDEX settlements_by_response_id ON settlements (provider_response_id)
    WHERE provider_response_id IS NOT NULL;

-- A second, different first settlement of one attempt: kept and counted, never merged.
CREATE TABLE settlement_conflicts (
    node TEXT NOT NULL, boot INTEGER NOT NULL, n INTEGER NOT NULL,
    attempt TEXT NOT NULL,
    body    TEXT NOT NULL,
    hash    TEXT NOT NULL,
    PRIMARY KEY (node, n)
) STRICT, WITHOUT ROWID;

-- What an attempt costs under one price table. revision 0 came with the settlement; re-pricing
-- appends. The highest revision holds.
CREATE TABLE valuations (
    attempt       TEXT    NOT NULL,
    revision      INTEGER NOT NULL,
    reason        TEXT    NOT NULL,      -- settlement, correction, repriced
    status        TEXT    NOT NULL,      -- priced, partially_priced, unpriced, no_usage, not_billable
    currency      TEXT    NOT NULL,
    total         INTEGER,               -- 10^-12; null where nothing could be priced
    unpriced      TEXT    NOT NULL,      -- JSON array of names
    price_version TEXT    NOT NULL,
    engine        TEXT    NOT NULL,
    valued_at     INTEGER NOT NULL,
    PRIMARY KEY (attempt, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE charges (
    attempt    TEXT    NOT NULL,
    revision   INTEGER NOT NULL,         -- of the valuation
    seq        INTEGER NOT NULL,
    model      TEXT    NOT NULL,
    meter      TEXT    NOT NULL,
    quantity   INTEGER NOT NULL,         -- atoms
    rate_id    TEXT    NOT NULL,
    unit_price TEXT    NOT NULL,
    per        INTEGER NOT NULL,
    factors    TEXT    NOT NULL,         -- JSON array of decimal texts
    amount     INTEGER NOT NULL,         -- 10^-12
    rounded    INTEGER NOT NULL,
    PRIMARY KEY (attempt, revision, seq)
) STRICT, WITHOUT ROWID;

-- Our own token count, beside what was reported.
CREATE TABLE counts (
    attempt         TEXT    PRIMARY KEY,
    node            TEXT    NOT NULL,
    boot            INTEGER NOT NULL,
    n               INTEGER NOT NULL,
    counted_at      INTEGER NOT NULL,
    input           INTEGER,             -- null: not counted, method says why
    output          INTEGER,
    method          TEXT    NOT NULL,
    encoding        TEXT    NOT NULL,
    basis           TEXT    NOT NULL,
    estimated_parts TEXT    NOT NULL,    -- JSON array
    prev_hash       TEXT    NOT NULL,
    hash            TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- Spans that may hold unrecorded traffic.
CREATE TABLE coverage_gaps (
    node    TEXT    NOT NULL,
    n       INTEGER NOT NULL,
    boot    INTEGER NOT NULL,
    from_at INTEGER NOT NULL,
    to_at   INTEGER NOT NULL,
    at_most INTEGER,                     -- attempts that can be missing; null: not known
    reason  TEXT    NOT NULL,
    prev_hash TEXT  NOT NULL,
    hash    TEXT    NOT NULL,
    PRIMARY KEY (node, n)
) STRICT, WITHOUT ROWID;

-- Every price table that ever rated an attempt, in canonical form: replay needs no old binary.
CREATE TABLE price_tables (
    price_version TEXT    PRIMARY KEY,
    canonical     TEXT    NOT NULL,
    first_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Derived and mutable: sums by UTC hour of the attempt's start. Rebuilt from the records on demand;
-- `counterfoil verify` compares.
CREATE TABLE usage_rollups (
    hour         INTEGER NOT NULL,       -- microseconds UTC, start of the hour
    provider     TEXT NOT NULL,
    model        TEXT NOT NULL,          -- billed model, '' where unknown
    credential   TEXT NOT NULL,          -- '' where none
    organization TEXT NOT NULL,
    project      TEXT NOT NULL,
    workspace    TEXT NOT NULL,
    team         TEXT NOT NULL,
    app          TEXT NOT NULL,
    billing_class TEXT NOT NULL,
    meter        TEXT NOT NULL,
    rate_id      TEXT NOT NULL,          -- '' where unpriced
    currency     TEXT NOT NULL,
    quantity     INTEGER NOT NULL,       -- atoms
    amount       INTEGER NOT NULL,       -- 10^-12; 0 with rate_id '' means no price, not free
    PRIMARY KEY (hour, provider, model, credential, organization, project, workspace, team, app,
                 billing_class, meter, rate_id, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt_rollups (
    hour         INTEGER NOT NULL,
    provider     TEXT NOT NULL,
    model        TEXT NOT NULL,          -- served, else requested, else ''
    credential   TEXT NOT NULL,
    organization TEXT NOT NULL,
    project      TEXT NOT NULL,
    workspace    TEXT NOT NULL,
    team         TEXT NOT NULL,
    app          TEXT NOT NULL,
    outcome      TEXT NOT NULL,
    usage_source TEXT NOT NULL,
    price_status TEXT NOT NULL,
    billing_class TEXT NOT NULL,
    attempts     INTEGER NOT NULL,
    duration_us  INTEGER NOT NULL,       -- sum
    PRIMARY KEY (hour, provider, model, credential, organization, project, workspace, team, app,
                 outcome, usage_source, price_status, billing_class)
) STRICT, WITHOUT ROWID;
