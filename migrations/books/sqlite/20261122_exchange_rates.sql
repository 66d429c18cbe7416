-- What one unit of a bill's currency is in the currency of the books, as a person said it of a month.
-- Appended; the newest of a month holds.
CREATE TABLE exchange_rates (
    id            INTEGER PRIMARY KEY,
    said_at       INTEGER NOT NULL,
    actor         TEXT    NOT NULL,
    provider      TEXT    NOT NULL,
    account       TEXT    NOT NULL,
    period        TEXT    NOT NULL,      -- 2026-10
    from_currency TEXT    NOT NULL,
    into_currency TEXT    NOT NULL,
    rate          TEXT    NOT NULL,      -- canonical decimal: of the books' currency for one of the bill's
    source        TEXT    NOT NULL       -- where it was read, '' where nobody said
) STRICT;

CREATE TRIGGER exchange_rates_never_updated BEFORE UPDATE ON exchange_rates
BEGIN SELECT RAISE(ABORT, 'append-only: exchange_rates'); END;
CREATE TRIGGER exchange_rates_never_deleted BEFORE DELETE ON exchange_rates
BEGIN SELECT RAISE(ABORT, 'append-only: exchange_rates'); END;
