//! Recovery: what the boots before this one left behind is settled once, and said.

use std::collections::HashSet;
use std::path::Path;

use rusqlite::{Connection, OptionalExtension as _, params};

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

/// Records appended in one transaction.
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
pub(crate) struct FromOutside {
    /// The gap of a journal that is not there any more.
    pub(crate) missing: Option<CoverageGap>,
    /// The folder's marker.
    pub(crate) marker: Option<Marker>,
    /// What was in the lifeboat.
    pub(crate) rescued: Vec<Draft>,
}

/// Reads where the journal stands.
pub(crate) fn read_head(connection: &Connection, path: &Path) -> Result<Head, JournalError> {
    let read = || -> rusqlite::Result<Head> {
        let newest = connection
            .query_row(
                "SELECT boot, node, first_n FROM boots ORDER BY boot DESC LIMIT 1",
                (),
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
            )
            .optional()?;
        let last = connection
            .query_row("SELECT n, hash FROM records ORDER BY n DESC LIMIT 1", (), |row| {
                Ok((row.get::<_, i64>(0)?, row.get(1)?))
            })
            .optional()?;
        let before = connection
            .query_row(
                "SELECT boot, first_n, started_at, machine_boot, unsynced_limit, left_open, \
                 ended_clean FROM boots WHERE recovered = 1 ORDER BY boot DESC LIMIT 1",
                (),
                |row| {
                    Ok(Before {
                        boot: row.get(0)?,
                        first_n: row.get(1)?,
                        started_at: row.get(2)?,
                        machine_boot: row.get(3)?,
                        unsynced_limit: row.get(4)?,
                        left_open: row.get(5)?,
                        ended_clean: row.get(6)?,
                    })
                },
            )
            .optional()?;
        let (last_boot, node, first_n) =
            newest.map_or((0, None, 1), |(boot, node, first_n)| (boot, Some(node), first_n));
        let (next_n, prev_hash) =
            last.map_or_else(|| (first_n, GENESIS.to_owned()), |(n, hash)| (n + 1, hash));
        Ok(Head { node, last_boot, next_n, prev_hash, before })
    };
    read().map_err(|error| damaged(path, &error))
}

/// Settles the orphans of earlier boots and appends the gap an unclean end may have left, then
/// opens this boot for traffic. Killed half-way, the next start does the rest and nothing twice.
pub(crate) fn recover(
    scribe: &mut Scribe,
    path: &Path,
    before: Option<Before>,
    machine_boot: Option<&str>,
    outside: FromOutside,
) -> Result<Recovered, JournalError> {
    let mut found = Recovered::default();
    let FromOutside { missing, marker, rescued } = outside;
    // Before anything else: what it settles is no orphan.
    let first_n = before.as_ref().map_or(1, |before| before.first_n);
    found.rescued = rescue(scribe, path, first_n, rescued)?;
    if missing.is_some() && !gap_is_told(&scribe.connection, path, 0, GapReason::JournalMissing)? {
        found.gap = missing;
    }
    if let Some(before) = before {
        found.unclean = !before.ended_clean;
        let last_seen = last_seen(&scribe.connection, path, &before)?;
        if found.unclean || before.left_open != Some(0) {
            found.orphans = orphans(&scribe.connection, path, before.first_n)?;
        }
        if found.unclean
            && !gap_is_told(&scribe.connection, path, before.boot, GapReason::UncleanStop)?
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
        settle(scribe, &found.orphans, last_seen)?;
        failpoint::pass(Failpoint::DuringRecovery);
    }
    if let Some(gap) = &found.gap {
        append(scribe, &[Draft::of(&Entry::Gap(gap.clone()))?])?;
    }
    scribe
        .connection
        .execute("UPDATE boots SET recovered = 1 WHERE boot = ?1", params![scribe.boot])
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
fn rescue(
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
    let written = written(&scribe.connection, first_n, &bodies);
    let written = written.map_err(|error| damaged(path, &error))?;
    drafts.retain(|draft| !written.contains(&draft.body));
    for part in drafts.chunks(BATCH) {
        append(scribe, part)?;
    }
    Ok(drafts.len())
}

/// Those of a JSON list of bodies that are in the journal from a number on.
fn written(
    connection: &Connection,
    first_n: i64,
    bodies: &str,
) -> Result<HashSet<String>, rusqlite::Error> {
    let mut statement = connection.prepare(
        "SELECT body FROM records WHERE n >= ?1 AND kind <> 'intent' \
         AND body IN (SELECT value FROM json_each(?2))",
    )?;
    let rows = statement.query_map(params![first_n, bodies], |row| row.get(0))?;
    rows.collect()
}

fn settle(
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
        append(scribe, &drafts?)?;
    }
    Ok(())
}

fn append(scribe: &mut Scribe, drafts: &[Draft]) -> Result<(), JournalError> {
    let drafts: Vec<&Draft> = drafts.iter().collect();
    match scribe.write(&drafts) {
        Ok(_) => Ok(()),
        Err(WriteError::Full(reason) | WriteError::Held(reason)) => {
            Err(JournalError::Unavailable(reason))
        }
        Err(WriteError::Fatal(reason)) => Err(JournalError::Failed(reason)),
    }
}

/// The last sign of life of a boot.
fn last_seen(
    connection: &Connection,
    path: &Path,
    before: &Before,
) -> Result<Timestamp, JournalError> {
    let at: Option<i64> = connection
        .query_row(
            "SELECT MAX(at) FROM records WHERE n >= ?1 AND boot = ?2",
            params![before.first_n, before.boot],
            |row| row.get(0),
        )
        .map_err(|error| damaged(path, &error))?;
    Ok(Timestamp::from_micros(at.unwrap_or(before.started_at).max(before.started_at)))
}

/// Intents of earlier boots that nothing settled.
fn orphans(
    connection: &Connection,
    path: &Path,
    first_n: i64,
) -> Result<Vec<Intent>, JournalError> {
    let read = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare(
            "SELECT body FROM records WHERE n >= ?1 AND kind = 'intent' AND attempt NOT IN \
             (SELECT attempt FROM records WHERE n >= ?1 AND kind = 'settlement') ORDER BY n",
        )?;
        statement.query_map(params![first_n], |row| row.get(0))?.collect()
    };
    let bodies = read().map_err(|error| damaged(path, &error))?;
    let intent = |body: String| match serde_json::from_str(&body) {
        Ok(Entry::Intent(intent)) => Ok(*intent),
        Ok(_) => Err(JournalError::Unreadable("an intent by kind only".to_owned())),
        Err(error) => Err(JournalError::Unreadable(error.to_string())),
    };
    bodies.into_iter().map(intent).collect()
}

/// Whether a recovery after that boot, killed before its end, appended the gap already.
fn gap_is_told(
    connection: &Connection,
    path: &Path,
    after_boot: i64,
    reason: GapReason,
) -> Result<bool, JournalError> {
    let told: Result<i64, _> = connection.query_row(
        "SELECT COUNT(*) FROM records WHERE kind = 'gap' AND body ->> 'reason' = ?2 \
         AND n >= (SELECT MIN(first_n) FROM boots WHERE boot > ?1)",
        params![after_boot, reason.as_str()],
        |row| row.get(0),
    );
    told.map(|told| told > 0).map_err(|error| damaged(path, &error))
}

/// Says that a boot began.
pub(crate) fn begin_boot(
    scribe: &Scribe,
    path: &Path,
    node: &str,
    machine_boot: Option<&str>,
    unsynced_limit: i64,
) -> Result<(), JournalError> {
    let begun = scribe.connection.execute(
        "INSERT INTO boots (boot, node, started_at, first_n, machine_boot, unsynced_limit) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![
            scribe.boot,
            node,
            scribe.clock.now().micros(),
            scribe.next_n,
            machine_boot,
            unsynced_limit
        ],
    );
    begun.map(drop).map_err(|error| damaged(path, &error))
}
