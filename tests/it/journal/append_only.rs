//! What is written stays written: each table of records refuses every way of changing a row.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions};

use crate::journal::house::House;
use crate::journal::samples::{corrected, intent, sent, settled, settlement};

async fn raw(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).pragma("recursive_triggers", "ON");
    options.connect().await.unwrap()
}

async fn refused(connection: &mut SqliteConnection, statement: String) {
    let words = match sqlx::raw_sql(AssertSqlSafe(statement.clone())).execute(connection).await {
        Ok(_) => panic!("was not refused: {statement}"),
        Err(error) => error.to_string(),
    };
    assert!(words.contains("append-only"), "{statement}: {words}");
}

/// Tries every way on a table that holds rows: a column to set, and the key to clash on.
async fn refuses_all(connection: &mut SqliteConnection, table: &str, column: &str, key: &str) {
    let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
    let rows: i64 = sqlx::query_scalar(count).fetch_one(&mut *connection).await.unwrap();
    assert!(rows > 0, "{table} holds nothing to refuse");
    refused(connection, format!("UPDATE {table} SET {column} = {column}")).await;
    refused(connection, format!("DELETE FROM {table}")).await;
    let again = format!("INTO {table} SELECT * FROM {table}");
    refused(connection, format!("REPLACE {again}")).await;
    refused(connection, format!("INSERT OR REPLACE {again}")).await;
    let upsert = format!("ON CONFLICT ({key}) DO UPDATE SET {column} = excluded.{column}");
    refused(connection, format!("INSERT {again} WHERE true {upsert}")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_journal_refuses_to_change_a_record_or_a_boot() {
    let house = House::build().await;
    house.write([sent(intent(1)), settled(settlement(1, 10, 1))]).await;
    let folder = house.close().await;
    let mut connection = raw(&folder.path().join("journal.db")).await;
    refuses_all(&mut connection, "records", "body", "n").await;
    refused(&mut connection, "DELETE FROM boots".to_owned()).await;
    refused(&mut connection, "UPDATE boots SET ended_clean = 0".to_owned()).await;
    refused(&mut connection, "UPDATE boots SET started_at = 0".to_owned()).await;
    refused(&mut connection, "REPLACE INTO boots SELECT * FROM boots".to_owned()).await;
}

const IMPORTED: &str = "
INSERT INTO import_batches VALUES ('b', 1, 'openai', 'a', 'openai_cost', '', 'f', 'h', 1, '[]', 'p');
INSERT INTO import_days VALUES ('b', '2026-10-01');
INSERT INTO billed_lines VALUES ('b', 1, '2026-10-01', 'usage', 'USD', '1', NULL, NULL, '{}', '[]');
INSERT INTO usage_rows VALUES ('b', 1, '2026-10-01', NULL, '{}', '[]');
INSERT INTO import_seals VALUES ('b', 2, '{}', 'h');
INSERT INTO import_withdrawals VALUES ('b', 3, 'me', 'wrong file');
INSERT INTO invoice_documents VALUES (1, 1, 'me', 'openai', 'a', '2026-10', 'USD', '1', NULL, NULL);
INSERT INTO exchange_rates VALUES (1, 1, 'me', 'openai', 'a', '2026-10', 'EUR', 'USD', '1.08', '');
INSERT INTO reports VALUES ('r', 1, 'openai', 'a', '2026-10', 'h', 'reconciled', '{}');
INSERT INTO closings VALUES (1, 1, 'me', 'openai', 'a', '2026-10', 'r', 'h', '');
INSERT INTO remarks VALUES (1, 1, 'me', 'credential:x', 'name', 'prod');
INSERT INTO coverage_gaps VALUES ('n', 1, 1, 1, 2, 3, 'untracked', 'a', 'b');
INSERT INTO counts VALUES ('a', 'n', 1, 1, 1, 1, 1, 'exact', 'e', 'b', '[]', 'a', 'b');
INSERT INTO price_tables VALUES ('v', '{}', 1);";

#[tokio::test(flavor = "multi_thread")]
async fn the_books_refuse_to_change_any_record() {
    let mut house = House::build().await;
    let (first, second) = (settled(settlement(1, 10, 1)), settled(settlement(1, 11, 1)));
    house.post([sent(intent(1)), first, second, corrected(settlement(1, 12, 1))]).await;
    sqlx::raw_sql(IMPORTED).execute(house.books.writer()).await.unwrap();
    let mut connection = raw(house.books.path()).await;
    for (table, column, key) in [
        ("intents", "request", "attempt"),
        ("settlements", "outcome", "attempt, revision"),
        ("settlement_conflicts", "body", "node, n"),
        ("valuations", "total", "attempt, revision"),
        ("charges", "amount", "attempt, revision, seq"),
        ("counts", "input", "attempt"),
        ("coverage_gaps", "at_most", "node, n"),
        ("price_tables", "canonical", "price_version"),
        ("import_batches", "provider", "batch"),
        ("import_seals", "hash", "batch"),
        ("import_withdrawals", "reason", "batch"),
        ("import_days", "day", "batch, day"),
        ("billed_lines", "billed_cost", "batch, row"),
        ("usage_rows", "usage", "batch, row"),
        ("invoice_documents", "total", "id"),
        ("exchange_rates", "rate", "id"),
        ("reports", "body", "report"),
        ("closings", "note", "id"),
        ("remarks", "value", "id"),
    ] {
        refuses_all(&mut connection, table, column, key).await;
    }
    refused(
        &mut connection,
        "INSERT INTO billed_lines SELECT 'b', 2, day, category, currency, \
             billed_cost, model, meter, line, raw FROM billed_lines"
            .to_owned(),
    )
    .await;
}
