-- The same sums by day, so that a page over a year reads a twenty-fourth of the rows.
-- Derived like the sums by hour: moved with them, compared with the records, rebuilt from them.

CREATE TABLE usage_days (
    day          INTEGER NOT NULL,       -- microseconds UTC, start of the day
    provider     TEXT NOT NULL,
    model        TEXT NOT NULL,
    credential   TEXT NOT NULL,
    organization TEXT NOT NULL,
    project      TEXT NOT NULL,
    workspace    TEXT NOT NULL,
    team         TEXT NOT NULL,
    app          TEXT NOT NULL,
    billing_class TEXT NOT NULL,
    meter        TEXT NOT NULL,
    rate_id      TEXT NOT NULL,
    currency     TEXT NOT NULL,
    quantity     INTEGER NOT NULL,
    amount       INTEGER NOT NULL,
    PRIMARY KEY (day, provider, model, credential, organization, project, workspace, team, app,
                 billing_class, meter, rate_id, currency)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt_days (
    day          INTEGER NOT NULL,
    provider     TEXT NOT NULL,
    model        TEXT NOT NULL,
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
    duration_us  INTEGER NOT NULL,
    PRIMARY KEY (day, provider, model, credential, organization, project, workspace, team, app,
                 outcome, usage_source, price_status, billing_class)
) STRICT, WITHOUT ROWID;

-- Of books that are older than this step. Sums of integers: exact, and refused on overflow.
INSERT INTO usage_days
SELECT hour - hour % 86400000000, provider, model, credential, organization, project, workspace,
       team, app, billing_class, meter, rate_id, currency, SUM(quantity), SUM(amount)
FROM usage_rollups GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13;

INSERT INTO attempt_days
SELECT hour - hour % 86400000000, provider, model, credential, organization, project, workspace,
       team, app, outcome, usage_source, price_status, billing_class, SUM(attempts),
       SUM(duration_us)
FROM attempt_rollups GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13;
