//! The books' database: opening it.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};

/// The books, open.
#[derive(Clone, Debug)]
pub struct Books {
    pool: SqlitePool,
}

/// Why the books did not open.
#[derive(Debug, thiserror::Error)]
#[error("the books at {path} did not open: {source}")]
pub struct OpenError {
    path: String,
    source: sqlx::Error,
}

const SCHEMA: [&str; 4] = [
    include_str!("../../migrations/books/sqlite/1_attempts.sql"),
    include_str!("../../migrations/books/sqlite/2_credentials.sql"),
    include_str!("../../migrations/books/sqlite/3_invoices.sql"),
    include_str!("../../migrations/books/sqlite/4_append_only.sql"),
];

impl Books {
    /// Creates the books of an example.
    ///
    /// # Errors
    /// [`OpenError`] with the path.
    pub async fn create(path: &Path) -> Result<Self, OpenError> {
        let failed = |source| OpenError { path: path.display().to_string(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .pragma("recursive_triggers", "ON");
        let pool = SqlitePoolOptions::new().max_connections(4).connect_with(options);
        let pool = pool.await.map_err(failed)?;
        for part in SCHEMA {
            sqlx::raw_sql(part).execute(&pool).await.map_err(failed)?;
        }
        Ok(Self { pool })
    }

    /// The connections pages read through.
    pub const fn pool(&self) -> &SqlitePool {
        &self.pool
    }
}
