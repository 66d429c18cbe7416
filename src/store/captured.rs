//! Captured content: what callers that are set to it sent and were answered, until its time is over.

use std::path::Path;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::SqlitePool;
use sqlx::{Row, SqlSafeStr};

use crate::names::{AttemptId, RequestId};
use crate::period::{DAY_US, Timestamp};
use crate::store::books::{make_private, pool, settings};
use crate::store::error::StoreError;
use crate::store::read::{get, get_count};

/// Name of the database in the data folder. It is there only where a caller is, or was, set to it.
pub(crate) const CAPTURED_FILE: &str = "captured.db";

/// The one step of its schema.
const STEP: &str = include_str!("../../migrations/captured/1_captured.sql");

/// What one call sent and was answered, cut to what is kept of each side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapturedCall {
    /// The attempt.
    pub attempt: AttemptId,
    /// The request it belongs to.
    pub request: RequestId,
    /// The caller that is set to it.
    pub caller: String,
    /// For how many days.
    pub days: u32,
    /// When its settlement was made.
    pub captured_at: Timestamp,
    /// The request's body.
    pub asked: CapturedSide,
    /// The answer's body.
    pub answer: CapturedSide,
}

/// One side of a call.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CapturedSide {
    /// Its beginning.
    pub beginning: Vec<u8>,
    /// Its whole length.
    pub bytes: u64,
}

/// Content as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptContent {
    /// The attempt.
    pub attempt: String,
    /// The caller that is set to it.
    pub caller: String,
    /// For how many days it was captured.
    pub days: u32,
    /// Gone from then on.
    pub expires_at: Timestamp,
    /// The beginning of the request's body; `None` where it is no text.
    pub asked: Option<String>,
    /// Its whole length.
    pub asked_bytes: u64,
    /// The beginning of the answer's body; `None` where it is no text.
    pub answer: Option<String>,
    /// Its whole length.
    pub answer_bytes: u64,
}

/// The database of captured content, open.
#[derive(Clone, Debug)]
pub struct Captured {
    pool: SqlitePool,
}

impl Captured {
    /// Opens it, and makes it if there is none.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::Schema`] or [`StoreError::File`], with the path.
    pub async fn open(folder: &Path) -> Result<Self, StoreError> {
        let path = folder.join(CAPTURED_FILE);
        make_private(folder, &path)?;
        // What goes is overwritten, not only forgotten.
        let options = settings(&path).pragma("secure_delete", "ON");
        let pool = pool(1).connect_with(options).await;
        let pool = pool.map_err(|source| StoreError::Open { path: path.clone(), source })?;
        let sql = STEP.into_sql_str();
        let step = Migration::new(1, "captured".into(), MigrationType::Simple, sql, false);
        let migrated = Migrator::with_migrations(vec![step]).run(&pool).await;
        migrated.map_err(|error| StoreError::Schema { path, reason: error.to_string() })?;
        Ok(Self { pool })
    }

    /// Opens it where it is there.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) async fn open_if_there(folder: &Path) -> Result<Option<Self>, StoreError> {
        if !folder.join(CAPTURED_FILE).is_file() {
            return Ok(None);
        }
        Self::open(folder).await.map(Some)
    }

    /// Keeps calls until their time is over. Text only; and a key somebody pasted into it is masked.
    ///
    /// # Errors
    /// [`StoreError::Database`]: none of them is kept.
    pub(crate) async fn keep(&self, calls: &[CapturedCall]) -> Result<(), StoreError> {
        let failed = || StoreError::database("keeping captured content");
        let mut transaction = self.pool.begin().await.map_err(failed())?;
        for call in calls {
            let lasts = i64::from(call.days).saturating_mul(DAY_US);
            sqlx::query(
                "INSERT INTO captured (attempt, request, caller, days, captured_at, expires_at, \
                 asked, asked_bytes, answer, answer_bytes) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
            )
            .bind(call.attempt.to_string())
            .bind(call.request.to_string())
            .bind(&call.caller)
            .bind(call.days)
            .bind(call.captured_at.micros())
            .bind(call.captured_at.plus_micros(lasts).micros())
            .bind(as_text(&call.asked))
            .bind(i64::try_from(call.asked.bytes).unwrap_or(i64::MAX))
            .bind(as_text(&call.answer))
            .bind(i64::try_from(call.answer.bytes).unwrap_or(i64::MAX))
            .execute(&mut *transaction)
            .await
            .map_err(failed())?;
        }
        transaction.commit().await.map_err(failed())
    }

    /// What is kept of a request at an instant, attempt by attempt.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub async fn of_request(
        &self,
        request: &str,
        now: Timestamp,
    ) -> Result<Vec<KeptContent>, StoreError> {
        let rows = sqlx::query(
            "SELECT attempt, caller, days, expires_at, asked, asked_bytes, answer, answer_bytes \
             FROM captured WHERE request = $1 AND expires_at > $2 ORDER BY attempt",
        )
        .bind(request)
        .bind(now.micros())
        .fetch_all(&self.pool)
        .await
        .map_err(StoreError::database("reading captured content"))?;
        let read = |row: &sqlx::sqlite::SqliteRow| {
            Ok(KeptContent {
                attempt: get(row, 0)?,
                caller: get(row, 1)?,
                days: get(row, 2)?,
                expires_at: Timestamp::from_micros(get(row, 3)?),
                asked: get(row, 4)?,
                asked_bytes: get_count(row, "asked_bytes")?,
                answer: get(row, 6)?,
                answer_bytes: get_count(row, "answer_bytes")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Erases what has had its time; how many attempts' content went.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) async fn expire(&self, now: Timestamp) -> Result<u64, StoreError> {
        let gone = sqlx::query("DELETE FROM captured WHERE expires_at <= $1").bind(now.micros());
        self.erase(gone).await
    }

    /// Erases what is kept of a request; how many attempts' content went.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) async fn forget_request(&self, request: &str) -> Result<u64, StoreError> {
        self.erase(sqlx::query("DELETE FROM captured WHERE request = $1").bind(request)).await
    }

    /// Erases what is kept of a caller; how many attempts' content went.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub(crate) async fn forget_caller(&self, caller: &str) -> Result<u64, StoreError> {
        self.erase(sqlx::query("DELETE FROM captured WHERE caller = $1").bind(caller)).await
    }

    /// Closes it after what it is doing.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn erase(
        &self,
        statement: sqlx::query::Query<'_, sqlx::Sqlite, sqlx::sqlite::SqliteArguments>,
    ) -> Result<u64, StoreError> {
        let failed = || StoreError::database("erasing captured content");
        let gone = statement.execute(&self.pool).await.map_err(failed())?.rows_affected();
        if gone > 0 {
            // The write-ahead log holds it too until it begins anew.
            let emptied = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&self.pool);
            let row = emptied.await.map_err(failed())?;
            let held: i64 = row.try_get(0).map_err(failed())?;
            if held != 0 {
                tracing::warn!("somebody reads captured content; its log is emptied later");
            }
        }
        Ok(gone)
    }
}

/// A side as text, with what looks like a provider's key masked; `None` where it is no text, or
/// was not read.
fn as_text(side: &CapturedSide) -> Option<String> {
    if side.bytes == 0 {
        return None;
    }
    let text = match std::str::from_utf8(&side.beginning) {
        Ok(text) => text,
        // Cut within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(side.beginning.get(..error.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    Some(masked(text))
}

/// Masks what begins as the keys of providers do: `sk-` and sixteen more of a key's characters.
fn masked(text: &str) -> String {
    const BEGINS: &str = "sk-";
    let is_of_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(BEGINS) {
        let (before, from) = rest.split_at(at);
        let length = from.bytes().take_while(is_of_key).count();
        let (key, after) = from.split_at(length);
        out.push_str(before);
        let within_a_word = before.ends_with(|it: char| it.is_ascii_alphanumeric());
        if length < BEGINS.len() + 16 || within_a_word {
            out.push_str(key);
        } else {
            out.push_str("sk-(masked)");
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(text: &[u8]) -> CapturedSide {
        CapturedSide { beginning: text.to_vec(), bytes: text.len() as u64 }
    }

    #[test]
    fn keys_are_masked_wherever_they_stand_and_words_are_not() {
        for (text, kept) in [
            ("my key: sk-proj-abcdefghijklmnop_qrst.", "my key: sk-(masked)."),
            ("\"sk-ant-api03-AAAABBBBCCCCDDDD\"", "\"sk-(masked)\""),
            ("sk-abcdefghijklmnop1 sk-abcdefghijklmnop2", "sk-(masked) sk-(masked)"),
            ("a risk-adjusted-return-on-capital", "a risk-adjusted-return-on-capital"),
            ("sk-short", "sk-short"),
            ("sk-é", "sk-é"),
            ("", ""),
        ] {
            assert_eq!(masked(text), kept);
        }
    }

    #[test]
    fn text_cut_within_a_character_is_text_and_sound_is_not() {
        assert_eq!(as_text(&side("né".as_bytes())).as_deref(), Some("né"));
        assert_eq!(as_text(&side(&"né".as_bytes()[..2])).as_deref(), Some("n"));
        assert_eq!(as_text(&side(b"ID3\xff\xfb\x90")), None);
    }
}
