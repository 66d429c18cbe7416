-- What is written stays written: the database itself refuses to change a record.
-- `PRAGMA recursive_triggers = ON` on every connection, else INSERT OR REPLACE slips past.

CREATE TRIGGER intents_never_updated BEFORE UPDATE ON intents
BEGIN SELECT RAISE(ABORT, 'append-only: intents'); END;
CREATE TRIGGER intents_never_deleted BEFORE DELETE ON intents
BEGIN SELECT RAISE(ABORT, 'append-only: intents'); END;

CREATE TRIGGER settlements_never_updated BEFORE UPDATE ON settlements
BEGIN SELECT RAISE(ABORT, 'append-only: settlements'); END;
CREATE TRIGGER settlements_never_deleted BEFORE DELETE ON settlements
BEGIN SELECT RAISE(ABORT, 'append-only: settlements'); END;

CREATE TRIGGER settlement_conflicts_never_updated BEFORE UPDATE ON settlement_conflicts
BEGIN SELECT RAISE(ABORT, 'append-only: settlement_conflicts'); END;
CREATE TRIGGER settlement_conflicts_never_deleted BEFORE DELETE ON settlement_conflicts
BEGIN SELECT RAISE(ABORT, 'append-only: settlement_conflicts'); END;

CREATE TRIGGER valuations_never_updated BEFORE UPDATE ON valuations
BEGIN SELECT RAISE(ABORT, 'append-only: valuations'); END;
CREATE TRIGGER valuations_never_deleted BEFORE DELETE ON valuations
BEGIN SELECT RAISE(ABORT, 'append-only: valuations'); END;

CREATE TRIGGER charges_never_updated BEFORE UPDATE ON charges
BEGIN SELECT RAISE(ABORT, 'append-only: charges'); END;
CREATE TRIGGER charges_never_deleted BEFORE DELETE ON charges
BEGIN SELECT RAISE(ABORT, 'append-only: charges'); END;

CREATE TRIGGER counts_never_updated BEFORE UPDATE ON counts
BEGIN SELECT RAISE(ABORT, 'append-only: counts'); END;
CREATE TRIGGER counts_never_deleted BEFORE DELETE ON counts
BEGIN SELECT RAISE(ABORT, 'append-only: counts'); END;

CREATE TRIGGER coverage_gaps_never_updated BEFORE UPDATE ON coverage_gaps
BEGIN SELECT RAISE(ABORT, 'append-only: coverage_gaps'); END;
CREATE TRIGGER coverage_gaps_never_deleted BEFORE DELETE ON coverage_gaps
BEGIN SELECT RAISE(ABORT, 'append-only: coverage_gaps'); END;

CREATE TRIGGER price_tables_never_updated BEFORE UPDATE ON price_tables
BEGIN SELECT RAISE(ABORT, 'append-only: price_tables'); END;
CREATE TRIGGER price_tables_never_deleted BEFORE DELETE ON price_tables
BEGIN SELECT RAISE(ABORT, 'append-only: price_tables'); END;

CREATE TRIGGER remarks_never_updated BEFORE UPDATE ON remarks
BEGIN SELECT RAISE(ABORT, 'append-only: remarks'); END;
CREATE TRIGGER remarks_never_deleted BEFORE DELETE ON remarks
BEGIN SELECT RAISE(ABORT, 'append-only: remarks'); END;

CREATE TRIGGER import_seals_never_updated BEFORE UPDATE ON import_seals
BEGIN SELECT RAISE(ABORT, 'append-only: import_seals'); END;
CREATE TRIGGER import_seals_never_deleted BEFORE DELETE ON import_seals
BEGIN SELECT RAISE(ABORT, 'append-only: import_seals'); END;

CREATE TRIGGER import_withdrawals_never_updated BEFORE UPDATE ON import_withdrawals
BEGIN SELECT RAISE(ABORT, 'append-only: import_withdrawals'); END;
CREATE TRIGGER import_withdrawals_never_deleted BEFORE DELETE ON import_withdrawals
BEGIN SELECT RAISE(ABORT, 'append-only: import_withdrawals'); END;

CREATE TRIGGER invoice_documents_never_updated BEFORE UPDATE ON invoice_documents
BEGIN SELECT RAISE(ABORT, 'append-only: invoice_documents'); END;
CREATE TRIGGER invoice_documents_never_deleted BEFORE DELETE ON invoice_documents
BEGIN SELECT RAISE(ABORT, 'append-only: invoice_documents'); END;

CREATE TRIGGER reports_never_updated BEFORE UPDATE ON reports
BEGIN SELECT RAISE(ABORT, 'append-only: reports'); END;
CREATE TRIGGER reports_never_deleted BEFORE DELETE ON reports
BEGIN SELECT RAISE(ABORT, 'append-only: reports'); END;

CREATE TRIGGER closings_never_updated BEFORE UPDATE ON closings
BEGIN SELECT RAISE(ABORT, 'append-only: closings'); END;
CREATE TRIGGER closings_never_deleted BEFORE DELETE ON closings
BEGIN SELECT RAISE(ABORT, 'append-only: closings'); END;

-- Rows of an unsealed batch may be swept; a sealed batch is for ever.
CREATE TRIGGER import_batches_never_updated BEFORE UPDATE ON import_batches
BEGIN SELECT RAISE(ABORT, 'append-only: import_batches'); END;
CREATE TRIGGER import_batches_deleted_only_unsealed BEFORE DELETE ON import_batches
WHEN EXISTS (SELECT 1 FROM import_seals WHERE batch = OLD.batch)
BEGIN SELECT RAISE(ABORT, 'append-only: import_batches of a sealed batch'); END;

-- Rows of an unsealed batch may be swept; a sealed batch is for ever.
CREATE TRIGGER import_days_never_updated BEFORE UPDATE ON import_days
BEGIN SELECT RAISE(ABORT, 'append-only: import_days'); END;
CREATE TRIGGER import_days_deleted_only_unsealed BEFORE DELETE ON import_days
WHEN EXISTS (SELECT 1 FROM import_seals WHERE batch = OLD.batch)
BEGIN SELECT RAISE(ABORT, 'append-only: import_days of a sealed batch'); END;

-- Rows of an unsealed batch may be swept; a sealed batch is for ever.
CREATE TRIGGER billed_lines_never_updated BEFORE UPDATE ON billed_lines
BEGIN SELECT RAISE(ABORT, 'append-only: billed_lines'); END;
CREATE TRIGGER billed_lines_deleted_only_unsealed BEFORE DELETE ON billed_lines
WHEN EXISTS (SELECT 1 FROM import_seals WHERE batch = OLD.batch)
BEGIN SELECT RAISE(ABORT, 'append-only: billed_lines of a sealed batch'); END;

-- Rows of an unsealed batch may be swept; a sealed batch is for ever.
CREATE TRIGGER usage_rows_never_updated BEFORE UPDATE ON usage_rows
BEGIN SELECT RAISE(ABORT, 'append-only: usage_rows'); END;
CREATE TRIGGER usage_rows_deleted_only_unsealed BEFORE DELETE ON usage_rows
WHEN EXISTS (SELECT 1 FROM import_seals WHERE batch = OLD.batch)
BEGIN SELECT RAISE(ABORT, 'append-only: usage_rows of a sealed batch'); END;

CREATE TRIGGER import_days_not_added_to_sealed BEFORE INSERT ON import_days
WHEN EXISTS (SELECT 1 FROM import_seals WHERE batch = NEW.batch)
BEGIN SELECT RAISE(ABORT, 'append-only: import_days of a sealed batch'); END;

CREATE TRIGGER billed_lines_not_added_to_sealed BEFORE INSERT ON billed_lines
WHEN EXISTS (SELECT 1 FROM import_seals WHERE batch = NEW.batch)
BEGIN SELECT RAISE(ABORT, 'append-only: billed_lines of a sealed batch'); END;

CREATE TRIGGER usage_rows_not_added_to_sealed BEFORE INSERT ON usage_rows
WHEN EXISTS (SELECT 1 FROM import_seals WHERE batch = NEW.batch)
BEGIN SELECT RAISE(ABORT, 'append-only: usage_rows of a sealed batch'); END;
