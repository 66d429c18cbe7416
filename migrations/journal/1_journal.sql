-- The journal: one node's durable book of original entry. On the hot path, append-only.
-- One dedicated connection writes it; a batch is one statement.

-- A start of the process. Synced before the first intent of that start.
CREATE TABLE boots (
    boot        INTEGER PRIMARY KEY,     -- 1, 2, 3 ... on this node
    node        TEXT    NOT NULL,        -- this journal's own id, a UUID made with the file
    started_at  INTEGER NOT NULL,        -- microseconds UTC
    first_n     INTEGER NOT NULL,        -- the number the first record of this boot will bear
    machine_boot   TEXT,                 -- the kernel's boot id: the same after a crash of the process
                                         -- means no power was lost; null where the system has none
    unsynced_limit INTEGER NOT NULL,     -- records of this boot that can be lost with the power
    recovered   INTEGER NOT NULL DEFAULT 0 CHECK (recovered IN (0, 1)),  -- earlier boots are settled;
                                         -- no traffic is taken before
    left_open   INTEGER,                 -- intents without settlement at the clean end
    ended_clean INTEGER NOT NULL DEFAULT 0 CHECK (ended_clean IN (0, 1))
) STRICT;

-- Every record of every kind, in the order written.
CREATE TABLE records (
    n         INTEGER PRIMARY KEY,       -- gapless on this node, across boots
    boot      INTEGER NOT NULL,
    kind      TEXT    NOT NULL CHECK (kind IN ('intent', 'settlement', 'count', 'correction', 'gap')),
    attempt   TEXT,                      -- UUIDv7 of the attempt, null for a gap
    at        INTEGER NOT NULL,          -- microseconds UTC, when it was appended
    body      TEXT    NOT NULL,          -- the record as JSON
    prev_hash TEXT    NOT NULL,          -- hash of record n-1; zeros for the first
    hash      TEXT    NOT NULL           -- SHA-256 over prev_hash, n, boot, kind, attempt, at, body
) STRICT;

-- How far posting has come and what may go. Mutable on purpose: it is no record.
CREATE TABLE posting (
    one             INTEGER PRIMARY KEY CHECK (one = 1),
    posted_n        INTEGER NOT NULL DEFAULT 0,  -- everything up to here is in the books
    verified_n      INTEGER NOT NULL DEFAULT 0,  -- and was found there, hash by hash, up to here
    retained_from   INTEGER NOT NULL DEFAULT 0   -- records that began before this instant may go
) STRICT;
INSERT INTO posting (one) VALUES (1);

CREATE TRIGGER records_are_never_updated BEFORE UPDATE ON records
BEGIN SELECT RAISE(ABORT, 'append-only: a journal record is never updated'); END;

-- A record may go only when it was posted, verified in the books and is older than the retention.
CREATE TRIGGER records_go_only_when_kept_elsewhere BEFORE DELETE ON records
WHEN OLD.n > (SELECT MIN(posted_n, verified_n) FROM posting)
  OR OLD.n = (SELECT MAX(n) FROM records)            -- the chain and the numbers go on from it
  OR OLD.at >= (SELECT retained_from FROM posting)
BEGIN SELECT RAISE(ABORT, 'append-only: a journal record goes only when posted, verified and older than the retention'); END;

CREATE TRIGGER boots_are_never_deleted BEFORE DELETE ON boots
BEGIN SELECT RAISE(ABORT, 'append-only: a boot is never deleted'); END;

CREATE TRIGGER boots_only_end BEFORE UPDATE ON boots
WHEN OLD.boot IS NOT NEW.boot OR OLD.node IS NOT NEW.node OR OLD.started_at IS NOT NEW.started_at
  OR OLD.first_n IS NOT NEW.first_n OR OLD.machine_boot IS NOT NEW.machine_boot
  OR OLD.unsynced_limit IS NOT NEW.unsynced_limit OR NEW.recovered < OLD.recovered
  OR NEW.ended_clean < OLD.ended_clean OR (OLD.left_open IS NOT NULL AND OLD.left_open IS NOT NEW.left_open)
BEGIN SELECT RAISE(ABORT, 'append-only: of a boot only its recovery and its clean end are written later'); END;
