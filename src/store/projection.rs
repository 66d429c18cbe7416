//! The projection: what a record of the journal becomes in the tables of the books.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;
use sqlx::sqlite::SqliteConnection;

use crate::digest::sha256;
use crate::ledger::entry::{Correction, Entry};
use crate::ledger::intent::Intent;
use crate::ledger::settlement::Settlement;
use crate::pricing::charge::{Unpriced, UnpricedReason, Valuation, ValuationStatus};
use crate::store::error::StoreError;
use crate::store::read::get;
use crate::store::rows::{
    ChargeRow, ConflictRow, CountRow, CredentialRow, GapRow, IntentRow, SettlementRow,
    ValuationRow, insert, json, stored, word,
};
use crate::store::states::{Asked, Charged, Ended, State, Valued};

/// A journal's record as the books take it.
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

/// Everything a batch inserts.
#[derive(Default)]
pub(crate) struct Rows {
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
pub(crate) struct Origin<'a> {
    pub(crate) node: &'a str,
    pub(crate) record: &'a PostingRecord,
}

/// A settlement to be held, as revision so and so, and why.
pub(crate) struct Held<'a> {
    pub(crate) settlement: &'a Settlement,
    pub(crate) revision: i64,
    pub(crate) correction: Option<&'a Correction>,
}

impl Rows {
    /// Adds what a record becomes, given what stands; and moves what stands.
    pub(crate) fn take(&mut self, origin: &Origin<'_>, states: &mut HashMap<String, State>) {
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

    /// Adds a settlement as the revision it is held as.
    pub(crate) fn settlement(
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

    /// Adds a second, different settlement.
    pub(crate) fn conflict(&mut self, origin: &Origin<'_>, attempt: &str) {
        self.conflicts.push(ConflictRow {
            node: origin.node.to_owned(),
            boot: origin.record.boot,
            n: origin.record.n,
            attempt: attempt.to_owned(),
            body: origin.record.body.clone(),
            hash: origin.record.hash.clone(),
        });
    }

    /// How many second, different settlements are among them.
    pub(crate) fn conflicts(&self) -> u64 {
        self.conflicts.len() as u64
    }

    /// Inserts them.
    pub(crate) async fn insert(self, connection: &mut SqliteConnection) -> Result<(), StoreError> {
        let credentials: Vec<CredentialRow> = self.credentials.into_values().collect();
        insert(connection, self.intents).await?;
        insert(connection, self.settlements).await?;
        insert(connection, self.conflicts).await?;
        insert(connection, self.valuations).await?;
        insert(connection, self.charges).await?;
        insert(connection, self.counts).await?;
        insert(connection, self.gaps).await?;
        if credentials.is_empty() {
            return Ok(());
        }
        let seen = sqlx::query(CredentialRow::UPSERT).bind(json(&credentials));
        seen.execute(connection).await.map(drop).map_err(StoreError::database("posting rows"))
    }

    /// Which of them do not stand in the books as they are, by table and key.
    pub(crate) async fn differing(
        &self,
        connection: &mut SqliteConnection,
    ) -> Result<Vec<String>, StoreError> {
        let mut found = Vec::new();
        let all = &mut found;
        differing(connection, "intents", IntentRow::DIFFERING, &self.intents, all).await?;
        differing(connection, "settlements", SettlementRow::DIFFERING, &self.settlements, all)
            .await?;
        let conflicts = ConflictRow::DIFFERING;
        differing(connection, "settlement_conflicts", conflicts, &self.conflicts, all).await?;
        differing(connection, "valuations", ValuationRow::DIFFERING, &self.valuations, all).await?;
        differing(connection, "charges", ChargeRow::DIFFERING, &self.charges, all).await?;
        differing(connection, "counts", CountRow::DIFFERING, &self.counts, all).await?;
        differing(connection, "coverage_gaps", GapRow::DIFFERING, &self.gaps, all).await?;
        Ok(found)
    }
}

async fn differing<T: Serialize>(
    connection: &mut SqliteConnection,
    table: &str,
    sql: &'static str,
    rows: &[T],
    found: &mut Vec<String>,
) -> Result<(), StoreError> {
    if rows.is_empty() {
        return Ok(());
    }
    let keys = sqlx::query(sql).bind(json(&rows)).fetch_all(connection).await;
    for row in keys.map_err(StoreError::database("comparing with the journal"))? {
        let key: String = get(&row, 0)?;
        found.push(format!("{table}: the row of {key} is not what the journal says"));
    }
    Ok(())
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
