//! The books' database: opening it, and the two ways to it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, SqlSafeStr};

use crate::owner_only;
use crate::period::Timestamp;
use crate::store::error::StoreError;

/// Name of the books' database in the data folder.
pub const BOOKS_FILE: &str = "books.db";

/// Every step of the schema this program knows.
const STEPS: &[(i64, &str, &str)] = &[
    (1, "attempts", include_str!("../../migrations/books/sqlite/1_attempts.sql")),
    (2, "credentials", include_str!("../../migrations/books/sqlite/2_credentials.sql")),
    (3, "invoices", include_str!("../../migrations/books/sqlite/3_invoices.sql")),
    (4, "append only", include_str!("../../migrations/books/sqlite/4_append_only.sql")),
    (5, "days", include_str!("../../migrations/books/sqlite/5_days.sql")),
    (
        20_261_122,
        "exchange rates",
        include_str!("../../migrations/books/sqlite/20261122_exchange_rates.sql"),
    ),
];

/// Connections that read at the same time.
const READERS: u32 = 4;

/// The books, open. Clones are cheap and mean the same books.
#[derive(Clone, Debug)]
pub struct Books {
    readers: SqlitePool,
    writer: SqlitePool,
    path: PathBuf,
}

impl Books {
    /// Opens the books of a data folder, and makes or upgrades them. Several processes may.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::NewerSchema`], [`StoreError::Schema`] or
    /// [`StoreError::File`], with the path.
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(BOOKS_FILE);
        make_private(folder, &path)?;
        let failed = |source| StoreError::Open { path: path.clone(), source };
        // 8 MiB: the pages a batch touches are not read back from the WAL by the next.
        let writing = settings(&path)
            .pragma("cache_size", "-8192")
            .thread_name(|number| format!("books-write-{number}"));
        let writer = pool(1).connect_with(writing).await.map_err(failed)?;
        migrate(&writer, &path).await?;
        let reading = settings(&path).pragma("query_only", "ON");
        let readers = pool(READERS).connect_with(reading).await.map_err(failed)?;
        Ok(Self { readers, writer, path })
    }

    /// Opens books that are there, to read only.
    ///
    /// # Errors
    /// [`StoreError::Open`] if there are none or they do not open.
    pub async fn open_to_read(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(BOOKS_FILE);
        let reading = settings(&path).create_if_missing(false).pragma("query_only", "ON");
        let readers = pool(READERS).connect_with(reading).await;
        let readers = readers.map_err(|source| StoreError::Open { path: path.clone(), source })?;
        Ok(Self { writer: readers.clone(), readers, path })
    }

    /// The connections to read through; they refuse to write.
    pub const fn pool(&self) -> &SqlitePool {
        &self.readers
    }

    /// The one connection that writes; who waits for it waits for the others to finish.
    pub const fn writer(&self) -> &SqlitePool {
        &self.writer
    }

    /// The database's file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Stores a price table at first use, in canonical form, so that replay needs no old program.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) async fn keep_price_table(
        &self,
        price_version: &str,
        canonical: &str,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO price_tables (price_version, canonical, first_used_at) \
             VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        )
        .bind(price_version)
        .bind(canonical)
        .bind(at.micros())
        .execute(&self.writer)
        .await
        .map(drop)
        .map_err(StoreError::database("keeping a price table"))
    }

    /// Closes every connection after what it is doing.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// Writes a copy of a folder's books, consistent at one instant, into another folder that holds
/// none. Whoever writes them meanwhile is not disturbed, and the schema stays as it is.
///
/// # Errors
/// [`StoreError::Open`], [`StoreError::File`] or [`StoreError::Database`].
pub(crate) async fn copy(folder: &Path, target: &Path) -> Result<(), StoreError> {
    let (path, copy) = (folder.join(BOOKS_FILE), target.join(BOOKS_FILE));
    make_private(target, &copy)?;
    let options = settings(&path).create_if_missing(false);
    let connected = SqliteConnection::connect_with(&options).await;
    let mut connection =
        connected.map_err(|source| StoreError::Open { path: path.clone(), source })?;
    let failed = || StoreError::database("copying the books");
    sqlx::query("VACUUM INTO $1")
        .bind(copy.to_string_lossy().into_owned())
        .execute(&mut connection)
        .await
        .map_err(failed())?;
    connection.close().await.map_err(failed())?;
    let synced = File::open(&copy).and_then(|file| file.sync_all());
    synced.map_err(|source| StoreError::File { path: copy.clone(), source })
}

/// What the books promise rests on these; FULL because the journal lets go of what they hold.
pub(super) fn settings(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(Duration::from_secs(10))
        .pragma("recursive_triggers", "ON")
        .pragma("trusted_schema", "OFF")
        .pragma("journal_size_limit", "67108864")
        .thread_name(|number| format!("books-{number}"))
        .disable_statement_logging()
}

pub(super) fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(Duration::from_secs(30))
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Makes folder and file for their owner only, before SQLite would make the file for everybody.
pub(super) fn make_private(folder: &Path, path: &Path) -> Result<(), StoreError> {
    let made = owner_only::make_folder(folder).and_then(|()| owner_only::make_file(path));
    made.map_err(|source| StoreError::File { path: path.to_owned(), source })
}

async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let steps = STEPS.iter().map(|(version, name, sql)| {
        Migration::new(*version, (*name).into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(steps.collect()).run(writer).await.map_err(|error| match error {
        MigrateError::VersionMissing(step) => {
            StoreError::NewerSchema { path: path.to_owned(), step }
        }
        other => StoreError::Schema { path: path.to_owned(), reason: other.to_string() },
    })
}
