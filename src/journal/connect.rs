//! Connections to the journal's database, with the settings the promises rest on.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use rusqlite::OpenFlags;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqlSafeStr};

use crate::journal::error::JournalError;

/// Every step of the schema this program knows.
const STEPS: &[(i64, &str, &str)] =
    &[(1, "journal", include_str!("../../migrations/journal/1_journal.sql"))];

/// How long a connection waits for another one that holds the database.
pub(crate) const BUSY: Duration = Duration::from_secs(5);

/// The first SQLite without the WAL-reset bug.
const SQLITE_NEEDED: [u32; 3] = [3, 51, 3];

/// The connection that writes records. Durability beyond the process is the sync thread's, hence
/// NORMAL; checkpoints are the checkpointer's, hence none by itself.
pub(crate) fn writer(path: &Path) -> Result<rusqlite::Connection, JournalError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let opened = || -> rusqlite::Result<rusqlite::Connection> {
        let connection = rusqlite::Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL; PRAGMA fullfsync = ON; \
             PRAGMA wal_autocheckpoint = 0; PRAGMA foreign_keys = ON; \
             PRAGMA recursive_triggers = ON; PRAGMA trusted_schema = OFF;",
        )?;
        Ok(connection)
    };
    opened().map_err(|error| damaged(path, &error))
}

/// Makes the file a journal of this program's schema, or refuses it.
pub(crate) async fn prepare(path: &Path) -> Result<(), JournalError> {
    let mut connection = beside(path).await?;
    check_sqlite(&mut connection).await?;
    migrate(&mut connection, path).await?;
    connection.close().await.map_err(|error| damaged(path, &error))
}

/// A connection that may write beside the writer, under the same rules as it.
pub(crate) async fn beside(path: &Path) -> Result<SqliteConnection, JournalError> {
    let options = settings(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .pragma("wal_autocheckpoint", "0")
        .pragma("fullfsync", "1");
    connect(options, path).await
}

/// A connection that only reads.
pub(crate) async fn reader(path: &Path) -> Result<SqliteConnection, JournalError> {
    let options = settings(path)
        .pragma("query_only", "ON")
        .thread_name(|number| format!("posting-read-{number}"));
    connect(options, path).await
}

fn settings(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .pragma("recursive_triggers", "ON")
        .pragma("trusted_schema", "OFF")
        .command_buffer_size(16)
        .thread_name(|number| format!("journal-{number}"))
        .disable_statement_logging()
}

async fn connect(
    options: SqliteConnectOptions,
    path: &Path,
) -> Result<SqliteConnection, JournalError> {
    SqliteConnection::connect_with(&options).await.map_err(|error| damaged(path, &error))
}

/// Whether there was no room on the disk (or `max_page_count` is reached), whichever of the two
/// libraries says so, and however deep.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |error| error.source()).any(|error| {
        let code = match (error.downcast_ref(), error.downcast_ref()) {
            (Some(error), _) => rusqlite::Error::sqlite_error(error).map(|it| it.extended_code),
            (_, Some(error)) => sqlx::Error::as_database_error(error)
                .and_then(|error| error.code())
                .and_then(|code| code.parse().ok()),
            (None, None) => None,
        };
        // The second is the shared memory of the WAL, which could not grow.
        matches!(code, Some(rusqlite::ffi::SQLITE_FULL | rusqlite::ffi::SQLITE_IOERR_SHMSIZE))
    })
}

/// An error on opening, told about its file.
pub(crate) fn damaged(path: &Path, error: &(dyn std::error::Error + 'static)) -> JournalError {
    if is_full(error) {
        let reason = "the disk is full; make room and start again, nothing is lost".to_owned();
        return JournalError::File { path: path.to_owned(), reason };
    }
    JournalError::Damaged { path: path.to_owned(), reason: error.to_string() }
}

/// Refuses a SQLite that is too old to be trusted with a WAL.
async fn check_sqlite(connection: &mut SqliteConnection) -> Result<(), JournalError> {
    let refused = |text: &str| JournalError::OldSqlite(text.to_owned());
    let row = sqlx::query("SELECT sqlite_version()").fetch_one(connection).await;
    let text: String =
        row.and_then(|row| row.try_get(0)).map_err(|error| refused(&error.to_string()))?;
    if is_new_enough(&text) { Ok(()) } else { Err(refused(&text)) }
}

fn is_new_enough(version: &str) -> bool {
    let parts: Vec<u32> = version.split('.').filter_map(|it| u32::from_str(it).ok()).collect();
    parts.as_slice() >= SQLITE_NEEDED.as_slice()
}

/// Brings the schema up to this program's, and refuses one that is beyond it.
async fn migrate(connection: &mut SqliteConnection, path: &Path) -> Result<(), JournalError> {
    let steps = STEPS.iter().map(|(version, name, sql)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(steps.collect()).run(connection).await.map_err(|error| match error {
        MigrateError::VersionMissing(step) => {
            JournalError::NewerSchema { path: path.to_owned(), step }
        }
        other => damaged(path, &other),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_that_can_lose_a_wal_is_refused_and_so_is_one_that_does_not_say() {
        for (version, trusted) in [
            ("3.51.3", true),
            ("3.51.10", true),
            ("3.52.0", true),
            ("4.0.0", true),
            ("3.51.2", false),
            ("3.9.99", false),
            ("3.51", false),
            ("", false),
            ("unknown", false),
        ] {
            assert_eq!(is_new_enough(version), trusted, "{version}");
        }
    }

    #[tokio::test]
    async fn a_disk_that_is_full_while_the_schema_is_made_is_no_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        drop(std::fs::File::create(&path).unwrap());
        let mut connection = beside(&path).await.unwrap();
        sqlx::query("PRAGMA max_page_count = 2").execute(&mut connection).await.unwrap();
        let said = migrate(&mut connection, &path).await.unwrap_err().to_string();
        assert!(said.contains("make room and start again"), "{said}");
        // The library of the hot path says the same.
        let connection = writer(&path).unwrap();
        connection.execute_batch("PRAGMA max_page_count = 2").unwrap();
        let tables = "CREATE TABLE a (b); CREATE TABLE c (d); CREATE TABLE e (f);";
        let said = damaged(&path, &connection.execute_batch(tables).unwrap_err()).to_string();
        assert!(said.contains("make room and start again"), "{said}");
        let said = damaged(&path, &sqlx::Error::RowNotFound).to_string();
        assert!(said.contains("restore the last backup"), "{said}");
    }

    #[tokio::test]
    async fn the_sqlite_that_is_linked_is_trusted() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        check_sqlite(&mut connection).await.unwrap();
    }
}
