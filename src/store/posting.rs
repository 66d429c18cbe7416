//! Posting: records of a journal become rows and sums of the books, in one transaction a batch.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteConnection;

use crate::ledger::entry::{Correction, Entry};
use crate::ledger::intent::Intent;
use crate::ledger::settlement::Settlement;
use crate::pricing::charge::{Unpriced, UnpricedReason, Valuation, ValuationStatus};
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::rollups::Rollups;
use crate::store::rows::{
    ChargeRow, ConflictRow, CountRow, CredentialRow, GapRow, IntentRow, SettlementRow,
    ValuationRow, json, stored, word,
};
use crate::store::states::{self, Asked, Charged, Ended, State, Valued, get};

/// A journal's record as posting takes it.
#[derive(Clone, Debug)]
pub struct PostingRecord {
    /// Its number on the node, gapless.
    pub n: i64,
    /// The boot it was written in.
    pub boot: i64,
    /// What it says.
    pub entry: Entry,
    /// The same as the journal keeps it.
    pub body: String,
    /// The hash of the record before.
    pub prev_hash: String,
    /// Its own hash.
    pub hash: String,
}

/// Up to where a journal is in the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostingCursor {
    /// The last record posted; 0 for none.
    pub posted_n: i64,
    /// Its hash.
    pub hash: String,
}

/// What a batch came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PostedBatch {
    /// Records posted now.
    pub records: u64,
    /// Settlements that differ from the first one of their attempt; kept apart.
    pub conflicts: u64,
}

/// Everything a batch inserts.
#[derive(Default)]
struct Rows {
    intents: Vec<IntentRow>,
    settlements: Vec<SettlementRow>,
    conflicts: Vec<ConflictRow>,
    valuations: Vec<ValuationRow>,
    charges: Vec<ChargeRow>,
    counts: Vec<CountRow>,
    gaps: Vec<GapRow>,
    credentials: BTreeMap<String, CredentialRow>,
}

/// Where a row comes from.
struct Origin<'a> {
    node: &'a str,
    record: &'a PostingRecord,
}

/// A settlement to be held, as revision so and so, and why.
struct Held<'a> {
    settlement: &'a Settlement,
    revision: i64,
    correction: Option<&'a Correction>,
}

/// Up to where a node's journal is in the books.
///
/// # Errors
/// [`StoreError::Database`].
pub async fn cursor(books: &Books, node: &str) -> Result<Option<PostingCursor>, StoreError> {
    let mut connection =
        books.pool().acquire().await.map_err(StoreError::database("reading the cursor"))?;
    read_cursor(&mut connection, node).await
}

/// Posts records of one node, in the order of their numbers. Records the books have already are
/// skipped; all of the rest is posted, or nothing.
///
/// # Errors
/// [`StoreError::DoesNotContinue`] if the first new record does not follow the last one posted,
/// [`StoreError::Database`].
pub async fn post(
    books: &Books,
    node: &str,
    records: &[PostingRecord],
) -> Result<PostedBatch, StoreError> {
    let failed = || StoreError::database("posting");
    let mut transaction = books.writer().begin_with("BEGIN IMMEDIATE").await.map_err(failed())?;
    let at = read_cursor(&mut transaction, node).await?;
    let (posted_n, hash) = at.map_or((0, None), |at| (at.posted_n, Some(at.hash)));
    let new: Vec<&PostingRecord> = records.iter().filter(|it| it.n > posted_n).collect();
    let Some((first, last)) = new.first().zip(new.last()) else {
        return Ok(PostedBatch::default());
    };
    let follows = first.n == posted_n + 1 && hash.is_none_or(|hash| hash == first.prev_hash);
    let gapless = new.windows(2).all(|two| two[1].n == two[0].n + 1);
    if !follows || !gapless {
        let (node, offered) = (node.to_owned(), first.n);
        return Err(StoreError::DoesNotContinue { node, posted: posted_n, offered });
    }
    let (rows, rollups) = read_batch(&mut transaction, node, &new).await?;
    let conflicts = rows.conflicts.len() as u64;
    rows.insert(&mut transaction).await?;
    rollups.apply(&mut transaction).await?;
    sqlx::query(
        "INSERT INTO posting_cursors (node, posted_n, hash) VALUES ($1, $2, $3) \
         ON CONFLICT (node) DO UPDATE SET posted_n = excluded.posted_n, hash = excluded.hash",
    )
    .bind(node)
    .bind(last.n)
    .bind(&last.hash)
    .execute(&mut *transaction)
    .await
    .map_err(failed())?;
    transaction.commit().await.map_err(failed())?;
    Ok(PostedBatch { records: new.len() as u64, conflicts })
}

async fn read_cursor(
    connection: &mut SqliteConnection,
    node: &str,
) -> Result<Option<PostingCursor>, StoreError> {
    let row = sqlx::query("SELECT posted_n, hash FROM posting_cursors WHERE node = $1")
        .bind(node)
        .fetch_optional(connection)
        .await
        .map_err(StoreError::database("reading the cursor"))?;
    row.map(|row| Ok(PostingCursor { posted_n: get(&row, 0)?, hash: get(&row, 1)? })).transpose()
}

/// Puts a batch into rows, and into what it changes of the sums.
async fn read_batch(
    connection: &mut SqliteConnection,
    node: &str,
    records: &[&PostingRecord],
) -> Result<(Rows, Rollups), StoreError> {
    let touched: BTreeSet<String> = records
        .iter()
        .filter(|record| !matches!(record.entry, Entry::Count(_)))
        .filter_map(|record| record.entry.attempt().map(|it| it.to_string()))
        .collect();
    let before = states::load(connection, &json(&touched)).await?;
    let mut after = before.clone();
    let mut rows = Rows::default();
    for record in records {
        rows.take(&Origin { node, record }, &mut after);
    }
    let mut rollups = Rollups::default();
    for (attempt, state) in &after {
        let was = before.get(attempt);
        if was != Some(state) {
            was.inspect(|was| rollups.add(was, -1));
            rollups.add(state, 1);
        }
    }
    Ok((rows, rollups))
}

impl Rows {
    fn take(&mut self, origin: &Origin<'_>, states: &mut HashMap<String, State>) {
        match &origin.record.entry {
            Entry::Intent(intent) => self.intent(origin, intent, states),
            Entry::Settlement(settlement) => {
                let state = states.entry(settlement.attempt.to_string()).or_default();
                let body_hash = sha256(&origin.record.body);
                if state.settled_by.is_none() {
                    // A correction can only have come before by a fault; it then stays on top.
                    state.settled_by = Some(body_hash.clone());
                    let held = Held { settlement, revision: 0, correction: None };
                    self.settlement(origin, &held, body_hash, state);
                } else if state.settled_by.as_ref() != Some(&body_hash) {
                    self.conflict(origin, &settlement.attempt.to_string());
                }
            }
            Entry::Correction(correction) => {
                let settlement = &correction.settlement;
                let state = states.entry(settlement.attempt.to_string()).or_default();
                let newest = state.ended.as_ref().map_or(0, |ended| ended.revision);
                let newest = newest.max(state.valued.revision);
                let held =
                    Held { settlement, revision: newest + 1, correction: Some(&**correction) };
                self.settlement(origin, &held, sha256(&origin.record.body), state);
            }
            Entry::Count(count) => self.counts.push(CountRow {
                attempt: count.attempt.to_string(),
                node: origin.node.to_owned(),
                boot: origin.record.boot,
                n: origin.record.n,
                counted_at: count.counted_at.micros(),
                input: count.input.map(stored),
                output: count.output.map(stored),
                method: count.method.clone(),
                encoding: count.encoding.clone(),
                basis: count.basis.clone(),
                estimated_parts: json(&count.estimated_parts),
                prev_hash: origin.record.prev_hash.clone(),
                hash: origin.record.hash.clone(),
            }),
            Entry::Gap(gap) => self.gaps.push(GapRow {
                node: origin.node.to_owned(),
                n: origin.record.n,
                boot: origin.record.boot,
                from_at: gap.period.start.micros(),
                to_at: gap.period.end.micros(),
                at_most: gap.at_most.map(stored),
                reason: word(&gap.reason),
                prev_hash: origin.record.prev_hash.clone(),
                hash: origin.record.hash.clone(),
            }),
        }
    }

    fn intent(
        &mut self,
        origin: &Origin<'_>,
        intent: &Intent,
        states: &mut HashMap<String, State>,
    ) {
        let state = states.entry(intent.attempt.to_string()).or_default();
        if state.asked.is_none() {
            state.asked = Some(Asked::of(intent));
        }
        self.intents.push(intent_row(origin, intent));
        let Some(credential) = &intent.credential else { return };
        let at = intent.started_at.micros();
        let row = CredentialRow {
            credential: credential.id.to_string(),
            provider: intent.provider.to_string(),
            hint: credential.hint.clone(),
            kind: word(&credential.kind),
            first_used: at,
            last_used: at,
        };
        let seen = self.credentials.entry(row.credential.clone()).or_insert(row);
        seen.first_used = seen.first_used.min(at);
        seen.last_used = seen.last_used.max(at);
    }

    fn settlement(
        &mut self,
        origin: &Origin<'_>,
        held: &Held<'_>,
        body_hash: String,
        state: &mut State,
    ) {
        let Held { settlement, revision, correction } = held;
        let attempt = settlement.attempt.to_string();
        let valuation = storable(&settlement.valuation);
        let reason = if correction.is_some() { "correction" } else { "settlement" };
        self.settlements.push(settlement_row(origin, held, body_hash));
        self.valuations.push(ValuationRow {
            attempt: attempt.clone(),
            revision: *revision,
            reason: reason.to_owned(),
            status: word(&valuation.status),
            currency: valuation.currency.to_string(),
            total: valuation.total.and_then(|total| total.stored()),
            unpriced: json(&valuation.unpriced),
            price_version: valuation.price_version.clone(),
            engine: valuation.engine.clone(),
            valued_at: settlement.ended_at.micros(),
        });
        let charges: Vec<ChargeRow> = charge_rows(&attempt, *revision, &valuation);
        let newest = state.ended.as_ref().is_none_or(|ended| ended.revision <= *revision);
        if newest {
            state.ended = Some(Ended::of(settlement, *revision));
            state.valued = Valued {
                revision: *revision,
                status: word(&valuation.status),
                currency: valuation.currency.to_string(),
                charges: charges.iter().map(charged).collect(),
            };
        }
        self.charges.extend(charges);
    }

    fn conflict(&mut self, origin: &Origin<'_>, attempt: &str) {
        self.conflicts.push(ConflictRow {
            node: origin.node.to_owned(),
            boot: origin.record.boot,
            n: origin.record.n,
            attempt: attempt.to_owned(),
            body: origin.record.body.clone(),
            hash: origin.record.hash.clone(),
        });
    }

    async fn insert(self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let credentials: Vec<CredentialRow> = self.credentials.into_values().collect();
        insert(connection, IntentRow::INSERT, &self.intents).await?;
        insert(connection, SettlementRow::INSERT, &self.settlements).await?;
        insert(connection, ConflictRow::INSERT, &self.conflicts).await?;
        insert(connection, ValuationRow::INSERT, &self.valuations).await?;
        insert(connection, ChargeRow::INSERT, &self.charges).await?;
        insert(connection, CountRow::INSERT, &self.counts).await?;
        insert(connection, GapRow::INSERT, &self.gaps).await?;
        insert(connection, CredentialRow::UPSERT, &credentials).await
    }
}

async fn insert<T: Serialize>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    rows: &[T],
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let done = sqlx::query(sql).bind(json(&rows)).execute(connection).await;
    done.map(drop).map_err(StoreError::database("posting rows"))
}

/// A valuation as the books can hold it: an amount beyond a database integer (9.2 million units of
/// the currency for one attempt) is named as unpriced, never cut.
fn storable(valuation: &Valuation) -> Valuation {
    let fits = valuation.charges.iter().all(|charge| charge.amount.stored().is_some())
        && valuation.total.is_none_or(|total| total.stored().is_some());
    if fits {
        return valuation.clone();
    }
    let mut named = valuation.clone();
    named.unpriced.extend(valuation.charges.iter().map(|charge| Unpriced {
        model: charge.model.clone(),
        meter: charge.meter,
        quantity: charge.quantity,
        reason: UnpricedReason::OutOfRange,
    }));
    Valuation { status: ValuationStatus::Unpriced, charges: Vec::new(), total: None, ..named }
}

fn intent_row(origin: &Origin<'_>, intent: &Intent) -> IntentRow {
    IntentRow {
        attempt: intent.attempt.to_string(),
        request: intent.request.to_string(),
        ordinal: intent.ordinal,
        node: origin.node.to_owned(),
        boot: origin.record.boot,
        n: origin.record.n,
        started_at: intent.started_at.micros(),
        provider: intent.provider.to_string(),
        endpoint: intent.endpoint.to_string(),
        method: intent.method.clone(),
        path: intent.path.clone(),
        model_requested: intent.model_requested.as_ref().map(ToString::to_string),
        stream: intent.stream,
        credential: intent.credential.as_ref().map(|it| it.id.to_string()),
        caller: intent.caller.clone(),
        team: intent.labels.team.clone(),
        app: intent.labels.app.clone(),
        end_user: intent.labels.user.clone(),
        tags: json(&intent.labels.tags),
        label_source: word(&intent.labels.source),
        max_output: intent.max_output.map(stored),
        request_bytes: stored(intent.request_bytes),
        price_version: intent.price_version.clone(),
        reservation: intent.reservation.clone(),
        prev_hash: origin.record.prev_hash.clone(),
        hash: origin.record.hash.clone(),
    }
}

fn settlement_row(origin: &Origin<'_>, held: &Held<'_>, body_hash: String) -> SettlementRow {
    let settlement = held.settlement;
    SettlementRow {
        attempt: settlement.attempt.to_string(),
        revision: held.revision,
        reason: held.correction.map(|it| it.reason.clone()),
        actor: held.correction.map(|it| it.actor.clone()),
        node: origin.node.to_owned(),
        boot: origin.record.boot,
        n: origin.record.n,
        ended_at: settlement.ended_at.micros(),
        outcome: word(&settlement.outcome),
        http_status: settlement.status,
        error: settlement.error.clone(),
        first_byte_us: settlement.first_byte_us.map(stored),
        duration_us: stored(settlement.duration_us),
        response_bytes: stored(settlement.response_bytes),
        model_served: settlement.model_served.as_ref().map(ToString::to_string),
        provider_request_id: settlement.provider_request_id.clone(),
        provider_response_id: settlement.provider_response_id.clone(),
        organization: settlement.account.organization.clone(),
        project: settlement.account.project.clone(),
        workspace: settlement.account.workspace.clone(),
        usage_source: word(&settlement.usage.source),
        usage_raw: settlement.usage.raw.clone(),
        usage_flags: json(&settlement.usage.flags),
        conditions: json(&settlement.usage.conditions),
        usage_parts: json(&settlement.usage.parts),
        reported_cost: settlement.usage.reported_cost.clone(),
        billing_class: word(&settlement.billing_class),
        body_hash,
        prev_hash: origin.record.prev_hash.clone(),
        hash: origin.record.hash.clone(),
    }
}

fn charge_rows(attempt: &str, revision: i64, valuation: &Valuation) -> Vec<ChargeRow> {
    let row = |(seq, charge): (i64, &crate::pricing::charge::Charge)| {
        Some(ChargeRow {
            attempt: attempt.to_owned(),
            revision,
            seq,
            model: charge.model.to_string(),
            meter: charge.meter.as_str().to_owned(),
            quantity: stored(charge.quantity),
            rate_id: charge.rate_id.clone(),
            unit_price: charge.unit_price.clone(),
            per: stored(charge.per),
            factors: json(&charge.factors),
            amount: charge.amount.stored()?,
            rounded: charge.rounded,
        })
    };
    (1..).zip(&valuation.charges).filter_map(row).collect()
}

fn charged(row: &ChargeRow) -> Charged {
    Charged {
        model: row.model.clone(),
        meter: row.meter.clone(),
        rate_id: row.rate_id.clone(),
        quantity: row.quantity,
        amount: row.amount,
    }
}

/// SHA-256 in lower-case hex.
fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}
