//! Recovery: what the boots before this one left behind is settled once, and said.

use std::collections::HashSet;
use std::path::Path;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Row};

use crate::failpoint::{self, Failpoint};
use crate::journal::chain::GENESIS;
use crate::journal::connect::damaged;
use crate::journal::error::JournalError;
use crate::journal::files::{Marker, Unwritten};
use crate::journal::scribe::{Draft, Scribe, WriteError};
use crate::ledger::entry::Entry;
use crate::ledger::gap::{CoverageGap, GapReason};
use crate::ledger::intent::Intent;
use crate::ledger::orphan;
use crate::period::{ChargePeriod, Timestamp};

/// Orphans settled in one statement.
const BATCH: usize = 1_000;

/// The last boot that took traffic, as the journal remembers it.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    boot: i64,
    first_n: i64,
    started_at: i64,
    machine_boot: Option<String>,
    unsynced_limit: i64,
    left_open: Option<i64>,
    ended_clean: bool,
}

/// Where the chain goes on.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) node: Option<String>,
    pub(crate) last_boot: i64,
    pub(crate) next_n: i64,
    pub(crate) prev_hash: String,
    pub(crate) before: Option<Before>,
}

/// What recovery found and settled.
#[derive(Debug, Default)]
pub(crate) struct Recovered {
    pub(crate) orphans: Vec<Intent>,
    pub(crate) gap: Option<CoverageGap>,
    pub(crate) unclean: bool,
    pub(crate) rescued: usize,
}

/// What is known from outside the journal.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The gap of a journal that is not there any more.
    pub(crate) missing: Option<CoverageGap>,
    /// The folder's marker.
    pub(crate) marker: Option<Marker>,
    /// What was in the lifeboat.
    pub(crate) rescued: Vec<Draft>,
}

/// Reads where the journal stands.
pub(crate) async fn read_head(
    connection: &mut SqliteConnection,
    path: &Path,
) -> Result<Head, JournalError> {
    let read = async {
        let newest =
            sqlx::query("SELECT boot, node, first_n FROM boots ORDER BY boot DESC LIMIT 1")
                .fetch_optional(&mut *connection)
                .await?;
        let last = sqlx::query("SELECT n, hash FROM records ORDER BY n DESC LIMIT 1")
            .fetch_optional(&mut *connection)
            .await?;
        let before = sqlx::query(
            "SELECT boot, first_n, started_at, machine_boot, unsynced_limit, left_open, ended_clean \
             FROM boots WHERE recovered = 1 ORDER BY boot DESC LIMIT 1",
        )
        .fetch_optional(&mut *connection)
        .await?;
        let (node, last_boot, first_n) = match newest {
            Some(row) => (Some(row.try_get(1)?), row.try_get(0)?, row.try_get(2)?),
            None => (None, 0, 1),
        };
        let (next_n, prev_hash) = match last {
            Some(row) => (row.try_get::<i64, _>(0)? + 1, row.try_get(1)?),
            None => (first_n, GENESIS.to_owned()),
        };
        let before = match before {
            Some(row) => Some(Before {
                boot: row.try_get(0)?,
                first_n: row.try_get(1)?,
                started_at: row.try_get(2)?,
                machine_boot: row.try_get(3)?,
                unsynced_limit: row.try_get(4)?,
                left_open: row.try_get(5)?,
                ended_clean: row.try_get::<i64, _>(6)? == 1,
            }),
            None => None,
        };
        Ok(Head { node, last_boot, next_n, prev_hash, before })
    };
    read.await.map_err(|error| damaged(path, &error))
}

/// Settles the orphans of earlier boots and appends the gap an unclean end may have left, then
/// opens this boot for traffic. Killed half-way, the next start does the rest and nothing twice.
pub(crate) async fn recover(
    scribe: &mut Scribe,
    path: &Path,
    before: Option<Before>,
    machine_boot: Option<&str>,
    told: Told,
) -> Result<Recovered, JournalError> {
    let mut found = Recovered::default();
    let Told { missing, marker, rescued } = told;
    // Before anything else: what it settles is no orphan.
    let first_n = before.as_ref().map_or(1, |before| before.first_n);
    found.rescued = rescue(scribe, path, first_n, rescued).await?;
    if missing.is_some() && !gap_is_told(&mut scribe.connection, path, 0, "journal_missing").await?
    {
        found.gap = missing;
    }
    if let Some(before) = before {
        found.unclean = !before.ended_clean;
        let last_seen = last_seen(&mut scribe.connection, path, &before).await?;
        if found.unclean || before.left_open != Some(0) {
            found.orphans = orphans(&mut scribe.connection, path, before.first_n).await?;
        }
        if found.unclean
            && !gap_is_told(&mut scribe.connection, path, before.boot, "unclean_stop").await?
        {
            let same_machine =
                machine_boot.is_some() && before.machine_boot.as_deref() == machine_boot;
            let unsynced = if same_machine { 0 } else { before.unsynced_limit };
            found.gap = Some(CoverageGap {
                period: ChargePeriod {
                    start: last_seen,
                    end: scribe.clock.now().max(last_seen.plus_micros(1)),
                },
                at_most: at_most(unsynced, unwritten(marker.as_ref(), before.boot)),
                reason: GapReason::UncleanStop,
            });
        }
        settle(scribe, &found.orphans, last_seen).await?;
        failpoint::pass(Failpoint::DuringRecovery);
    }
    if let Some(gap) = &found.gap {
        append(scribe, &[Draft::of(&Entry::Gap(gap.clone()))?]).await?;
    }
    sqlx::query("UPDATE boots SET recovered = 1 WHERE boot = $1")
        .bind(scribe.boot)
        .execute(&mut scribe.connection)
        .await
        .map_err(|error| damaged(path, &error))?;
    Ok(found)
}

/// What a boot could not write, as far as the marker is that boot's.
fn unwritten(marker: Option<&Marker>, boot: i64) -> Unwritten {
    marker.filter(|marker| marker.boot == boot).map_or(Unwritten::Nothing, |it| it.unwritten)
}

/// The most attempts that can be missing: unsynced ones lost with the power, and those whose
/// records found no room.
fn at_most(unsynced: i64, unwritten: Unwritten) -> Option<u64> {
    let unsynced = u64::try_from(unsynced).ok()?;
    match unwritten {
        Unwritten::Nothing => Some(unsynced),
        Unwritten::Attempts(attempts) => Some(unsynced.saturating_add(attempts)),
        Unwritten::Waiting => None,
    }
}

/// Appends what the lifeboat held and the journal does not: a kill may have come between the two.
async fn rescue(
    scribe: &mut Scribe,
    path: &Path,
    first_n: i64,
    mut drafts: Vec<Draft>,
) -> Result<usize, JournalError> {
    if drafts.is_empty() {
        return Ok(0);
    }
    let bodies: Vec<&str> = drafts.iter().map(|draft| draft.body.as_str()).collect();
    let bodies = serde_json::to_string(&bodies)
        .map_err(|error| JournalError::Unreadable(error.to_string()))?;
    let written: Vec<String> = sqlx::query_scalar(
        "SELECT body FROM records WHERE n >= $1 AND kind <> 'intent' \
         AND body IN (SELECT value FROM json_each($2))",
    )
    .bind(first_n)
    .bind(bodies)
    .fetch_all(&mut scribe.connection)
    .await
    .map_err(|error| damaged(path, &error))?;
    let written: HashSet<String> = written.into_iter().collect();
    drafts.retain(|draft| !written.contains(&draft.body));
    for part in drafts.chunks(BATCH) {
        append(scribe, part).await?;
    }
    Ok(drafts.len())
}

async fn settle(
    scribe: &mut Scribe,
    orphans: &[Intent],
    last_seen: Timestamp,
) -> Result<(), JournalError> {
    for part in orphans.chunks(BATCH) {
        let drafts: Result<Vec<Draft>, JournalError> = part
            .iter()
            .map(|intent| {
                Draft::of(&Entry::Settlement(Box::new(orphan::settle(intent, last_seen))))
            })
            .collect();
        append(scribe, &drafts?).await?;
    }
    Ok(())
}

async fn append(scribe: &mut Scribe, drafts: &[Draft]) -> Result<(), JournalError> {
    let drafts: Vec<&Draft> = drafts.iter().collect();
    match scribe.write(&drafts).await {
        Ok(_) => Ok(()),
        Err(WriteError::Full(reason) | WriteError::Held(reason)) => {
            Err(JournalError::Unavailable(reason))
        }
        Err(WriteError::Fatal(reason)) => Err(JournalError::Failed(reason)),
    }
}

/// The last sign of life of a boot.
async fn last_seen(
    connection: &mut SqliteConnection,
    path: &Path,
    before: &Before,
) -> Result<Timestamp, JournalError> {
    let row = sqlx::query("SELECT MAX(at) FROM records WHERE n >= $1 AND boot = $2")
        .bind(before.first_n)
        .bind(before.boot)
        .fetch_one(connection)
        .await;
    let at: Option<i64> = row.and_then(|row| row.try_get(0)).map_err(|it| damaged(path, &it))?;
    Ok(Timestamp::from_micros(at.unwrap_or(before.started_at).max(before.started_at)))
}

/// Intents of earlier boots that nothing settled.
async fn orphans(
    connection: &mut SqliteConnection,
    path: &Path,
    first_n: i64,
) -> Result<Vec<Intent>, JournalError> {
    let rows = sqlx::query(
        "SELECT body FROM records WHERE n >= $1 AND kind = 'intent' AND attempt NOT IN \
         (SELECT attempt FROM records WHERE n >= $1 AND kind = 'settlement') ORDER BY n",
    )
    .bind(first_n)
    .fetch_all(connection)
    .await
    .map_err(|error| damaged(path, &error))?;
    let mut intents = Vec::with_capacity(rows.len());
    for row in rows {
        let body: String = row.try_get(0).map_err(|error| damaged(path, &error))?;
        match serde_json::from_str(&body) {
            Ok(Entry::Intent(intent)) => intents.push(*intent),
            Ok(_) => return Err(JournalError::Unreadable("an intent by kind only".to_owned())),
            Err(error) => return Err(JournalError::Unreadable(error.to_string())),
        }
    }
    Ok(intents)
}

/// Whether a recovery after that boot, killed before its end, appended the gap already.
async fn gap_is_told(
    connection: &mut SqliteConnection,
    path: &Path,
    after_boot: i64,
    reason: &str,
) -> Result<bool, JournalError> {
    let row = sqlx::query(
        "SELECT COUNT(*) FROM records WHERE kind = 'gap' AND body ->> 'reason' = $2 \
         AND n >= (SELECT MIN(first_n) FROM boots WHERE boot > $1)",
    )
    .bind(after_boot)
    .bind(reason)
    .fetch_one(connection)
    .await;
    let told: i64 = row.and_then(|row| row.try_get(0)).map_err(|it| damaged(path, &it))?;
    Ok(told > 0)
}

/// Says that a boot began.
pub(crate) async fn begin_boot(
    scribe: &mut Scribe,
    path: &Path,
    node: &str,
    machine_boot: Option<&str>,
    unsynced_limit: i64,
) -> Result<(), JournalError> {
    let begun = async {
        let mut transaction = scribe.connection.begin().await?;
        sqlx::query(
            "INSERT INTO boots (boot, node, started_at, first_n, machine_boot, unsynced_limit) \
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(scribe.boot)
        .bind(node)
        .bind(scribe.clock.now().micros())
        .bind(scribe.next_n)
        .bind(machine_boot)
        .bind(unsynced_limit)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    };
    begun.await.map_err(|error: sqlx::Error| damaged(path, &error))
}
