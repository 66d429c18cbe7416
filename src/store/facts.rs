//! Attempts as a reconciliation reads them: each with what it used and was charged.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use rust_decimal::Decimal;
use serde::Deserialize;
use sqlx::sqlite::SqliteRow;
use tokio::task::spawn_blocking;

use crate::meter::Meter;
use crate::money::{Amount, exact_mul, parse_decimal};
use crate::names::{AttemptId, CredentialId, ModelName, ProviderName, RequestId};
use crate::period::{ChargePeriod, HOUR_US, Timestamp};
use crate::reconcile::facts::{
    AttemptFact, BillingClass, ChargeFact, CountedTokens, Ending, GapFact, MeteredFact,
};
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::{get, unreadable};
use crate::usage::{Conditions, ModelUsage, UsageSource};

/// An attempt as [`HOUR`] writes it: a JSON array, members in this order.
#[derive(Deserialize)]
struct Written<'a> {
    attempt: AttemptId,
    request: RequestId,
    started_at: i64,
    endpoint: &'a str,
    model_requested: Option<Cow<'a, str>>,
    credential: Option<&'a str>,
    max_output: Option<i64>,
    request_bytes: i64,
    hint: Option<Cow<'a, str>>,
    ended_at: Option<i64>,
    outcome: Option<&'a str>,
    http_status: Option<i64>,
    first_byte_us: Option<i64>,
    model_served: Option<Cow<'a, str>>,
    provider_request_id: Option<Cow<'a, str>>,
    provider_response_id: Option<Cow<'a, str>>,
    organization: Option<Cow<'a, str>>,
    project: Option<Cow<'a, str>>,
    workspace: Option<Cow<'a, str>>,
    usage_source: Option<UsageSource>,
    conditions: Option<Conditions>,
    usage_parts: Option<Vec<ModelUsage>>,
    billing_class: Option<&'a str>,
    counted_input: Option<i64>,
    counted_output: Option<i64>,
    #[serde(borrow)]
    charges: Vec<WrittenCharge<'a>>,
}

/// A charge, likewise.
#[derive(Deserialize)]
struct WrittenCharge<'a> {
    #[serde(borrow)]
    model: Cow<'a, str>,
    meter: &'a str,
    rate_id: &'a str,
    unit_price: &'a str,
    per: i64,
    factors: Vec<String>,
    amount: i64,
    rounded: i64,
}

/// An attempt and the organization its answer named.
struct Named {
    fact: AttemptFact,
    organization: Option<Arc<str>>,
}

/// Texts and prices that many attempts share, kept once.
#[derive(Default)]
struct Shared {
    texts: HashSet<Arc<str>>,
    prices: HashMap<(Arc<str>, Meter), Option<Decimal>>,
}

// The attempts of a span in one text, a line each: a million attempts are read several times faster
// so than row by row and column by column.
const HOUR: &str = "
SELECT group_concat(json_array(
       i.attempt, i.request, i.started_at, i.endpoint, i.model_requested, i.credential,
       i.max_output, i.request_bytes, c.hint,
       s.ended_at, s.outcome, s.http_status, s.first_byte_us, s.model_served,
       s.provider_request_id, s.provider_response_id, s.organization, s.project, s.workspace,
       s.usage_source, json(s.conditions), json(s.usage_parts), s.billing_class,
       k.input, k.output,
       (SELECT json_group_array(json_array(h.model, h.meter, h.rate_id, h.unit_price, h.per,
                                           json(h.factors), h.amount, h.rounded))
        FROM charges h WHERE h.attempt = i.attempt
         AND h.revision = (SELECT MAX(revision) FROM valuations WHERE attempt = i.attempt))
       ), char(10))
FROM intents i
LEFT JOIN settlements s ON s.attempt = i.attempt
     AND s.revision = (SELECT MAX(revision) FROM settlements WHERE attempt = i.attempt)
LEFT JOIN credentials c ON c.credential = i.credential
LEFT JOIN counts k ON k.attempt = i.attempt
WHERE i.provider = $1 AND i.started_at >= $2 AND i.started_at < $3";

const ORGANIZATIONS: &str = "
SELECT DISTINCT organization FROM attempt_rollups WHERE provider = $1 AND organization <> ''";

const GAPS: &str = "
SELECT from_at, to_at, at_most FROM coverage_gaps
WHERE to_at > $1 AND from_at < $2 ORDER BY from_at, to_at";

/// Hours read at the same time; more than there are connections only wait.
const HOURS_AT_ONCE: usize = 4;

/// Every attempt at a provider and account that was sent in a span, by hour.
///
/// `own` are the names the account goes by: its own and the organizations its exports name. Where
/// answers' headers ever named one of them, attempts of other organizations are left out, and so
/// are attempts whose answer named none but whose credential is only seen with others. Where none
/// of them is an organization of an answer, the account is a name a person gave, and every attempt
/// at the provider belongs to it.
///
/// # Errors
/// [`StoreError`] where the books do not answer or hold what cannot be read.
pub async fn attempts(
    books: &Books,
    provider: &ProviderName,
    own: &BTreeSet<String>,
    span: ChargePeriod,
) -> Result<Vec<AttemptFact>, StoreError> {
    let mut hours = Vec::new();
    let mut from = span.start;
    while from < span.end {
        let until = from.hour().plus_micros(HOUR_US).min(span.end);
        hours.push(ChargePeriod { start: from, end: until });
        from = until;
    }
    let read = stream::iter(hours).map(|hour| attempts_of_hour(books, provider, hour));
    let named: Vec<Vec<Named>> = read.buffered(HOURS_AT_ONCE).try_collect().await?;
    let named: Vec<Named> = named.into_iter().flatten().collect();
    let seen = organizations(books, provider).await?;
    if seen.is_disjoint(own) {
        return Ok(named.into_iter().map(|one| one.fact).collect());
    }
    let mut of_credential: BTreeMap<CredentialId, bool> = BTreeMap::new();
    for one in &named {
        if let (Some(credential), Some(organization)) = (&one.fact.credential, &one.organization) {
            *of_credential.entry(credential.clone()).or_default() |= own.contains(&**organization);
        }
    }
    let belongs = |one: &Named| match (&one.organization, &one.fact.credential) {
        (Some(organization), _) => own.contains(&**organization),
        (None, Some(credential)) => of_credential.get(credential).copied().unwrap_or(true),
        (None, None) => true,
    };
    Ok(named.into_iter().filter(belongs).map(|one| one.fact).collect())
}

/// Every organization that answers of a provider ever named.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn organizations(
    books: &Books,
    provider: &ProviderName,
) -> Result<BTreeSet<String>, StoreError> {
    let names = sqlx::query_scalar(ORGANIZATIONS).bind(provider.as_str()).fetch_all(books.pool());
    let names: Vec<String> = names.await.map_err(StoreError::database("organizations"))?;
    Ok(names.into_iter().collect())
}

/// Spans that may hold unrecorded traffic and touch this one.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn gaps(books: &Books, span: ChargePeriod) -> Result<Vec<GapFact>, StoreError> {
    let rows = sqlx::query(GAPS)
        .bind(span.start.micros())
        .bind(span.end.micros())
        .fetch_all(books.pool())
        .await
        .map_err(StoreError::database("reading coverage gaps"))?;
    let read = |row: &SqliteRow| {
        let at_most: Option<i64> = get(row, "at_most")?;
        let period = ChargePeriod {
            start: Timestamp::from_micros(get(row, "from_at")?),
            end: Timestamp::from_micros(get(row, "to_at")?),
        };
        Ok(GapFact { period, at_most: at_most.and_then(|most| u64::try_from(most).ok()) })
    };
    rows.iter().map(read).collect()
}

/// When the first attempt of these books was sent.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn books_began(books: &Books) -> Result<Option<Timestamp>, StoreError> {
    let first: Option<i64> = sqlx::query_scalar("SELECT MIN(started_at) FROM intents")
        .fetch_one(books.pool())
        .await
        .map_err(StoreError::database("reading when the books began"))?;
    Ok(first.map(Timestamp::from_micros))
}

/// When the last attempt of these books was sent.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn books_end(books: &Books) -> Result<Option<Timestamp>, StoreError> {
    let last: Option<i64> = sqlx::query_scalar("SELECT MAX(started_at) FROM intents")
        .fetch_one(books.pool())
        .await
        .map_err(StoreError::database("reading when the books end"))?;
    Ok(last.map(Timestamp::from_micros))
}

async fn attempts_of_hour(
    books: &Books,
    provider: &ProviderName,
    hour: ChargePeriod,
) -> Result<Vec<Named>, StoreError> {
    let text: Option<String> = sqlx::query_scalar(HOUR)
        .bind(provider.as_str())
        .bind(hour.start.micros())
        .bind(hour.end.micros())
        .fetch_one(books.pool())
        .await
        .map_err(StoreError::database("reading attempts"))?;
    let Some(text) = text else { return Ok(Vec::new()) };
    let read = spawn_blocking(move || {
        let mut shared = Shared::default();
        text.lines().map(|line| named(line, &mut shared)).collect()
    });
    read.await.map_err(|_| unreadable("attempts", "reading them was interrupted"))?
}

fn named(line: &str, shared: &mut Shared) -> Result<Named, StoreError> {
    let written: Written<'_> =
        serde_json::from_str(line).map_err(|_| unreadable("an attempt", line))?;
    let organization = written.organization.as_deref().map(|name| shared.text(name));
    Ok(Named { fact: fact(written, shared)?, organization })
}

impl Shared {
    fn text(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.texts.get(text) {
            return Arc::clone(known);
        }
        let new: Arc<str> = text.into();
        self.texts.insert(Arc::clone(&new));
        new
    }

    /// The price of one atom with its factors, where it is a finite decimal.
    fn unit_price(
        &mut self,
        rate_id: &Arc<str>,
        meter: Meter,
        of: &WrittenCharge<'_>,
    ) -> Option<Decimal> {
        let key = (Arc::clone(rate_id), meter);
        *self.prices.entry(key).or_insert_with(|| unit_price(of, meter))
    }
}

fn unit_price(charge: &WrittenCharge<'_>, meter: Meter) -> Option<Decimal> {
    let mut price = parse_decimal(charge.unit_price).ok()?;
    for factor in &charge.factors {
        price = exact_mul(price, parse_decimal(factor).ok()?)?;
    }
    let atoms = charge.per.unsigned_abs().saturating_mul(meter.atoms_per_unit());
    let power = (0..19_u32).find(|power| 10_u64.checked_pow(*power) == Some(atoms))?;
    exact_mul(price, Decimal::new(1, power))
}

fn fact(written: Written<'_>, shared: &mut Shared) -> Result<AttemptFact, StoreError> {
    let endpoint =
        written.endpoint.parse().map_err(|_| unreadable("endpoint", written.endpoint))?;
    let mut name =
        |text: &Option<Cow<'_, str>>| text.as_deref().map(|text| ModelName::new(shared.text(text)));
    let model_requested = name(&written.model_requested);
    let own_model = name(&written.model_served).or_else(|| model_requested.clone());
    let own_model = own_model.unwrap_or_else(|| ModelName::new(""));
    let mut charges = charges(&written.charges, shared)?;
    let mut metered = Vec::new();
    for part in written.usage_parts.iter().flatten() {
        let model = match &part.model {
            Some(model) => ModelName::new(shared.text(model.as_str())),
            None => own_model.clone(),
        };
        for (meter, quantity) in part.quantities.iter() {
            let charge = take(&mut charges, model.as_str(), meter);
            metered.push(MeteredFact { model: model.clone(), meter, quantity, charge });
        }
    }
    let mut text = |text: &Option<Cow<'_, str>>| text.as_deref().map(|text| shared.text(text));
    let count = |value: Option<i64>| value.and_then(|value| u64::try_from(value).ok());
    let status = written.http_status.and_then(|status| u16::try_from(status).ok());
    let request_id =
        written.provider_request_id.as_deref().or(written.provider_response_id.as_deref());
    let started_at = Timestamp::from_micros(written.started_at);
    let counted = (count(written.counted_input), count(written.counted_output));
    Ok(AttemptFact {
        attempt: written.attempt,
        request: written.request,
        provider_request_id: request_id.map(Arc::from),
        started_at,
        ended_at: written.ended_at.map_or(started_at, Timestamp::from_micros),
        endpoint,
        credential_hint: text(&written.hint).unwrap_or_default(),
        scope: text(&written.project).or_else(|| text(&written.workspace)),
        credential: written.credential.map(|id| CredentialId::new(shared.text(id))),
        model_requested,
        metered,
        usage_source: written.usage_source.unwrap_or(UsageSource::Absent),
        billing_class: billing_class(written.billing_class),
        ending: ending(&written, status),
        status,
        counted: (counted.0.is_some() || counted.1.is_some())
            .then_some(CountedTokens { input: counted.0, output: counted.1 }),
        max_output: count(written.max_output),
        max_input: count(Some(written.request_bytes)),
        conditions: written.conditions.unwrap_or_default(),
    })
}

/// Charges not yet given to a quantity.
type Charges<'a> = Vec<(&'a str, Meter, ChargeFact)>;

fn charges<'a>(
    written: &'a [WrittenCharge<'a>],
    shared: &mut Shared,
) -> Result<Charges<'a>, StoreError> {
    let read = |charge: &'a WrittenCharge<'a>| {
        let meter: Meter = charge.meter.parse().map_err(|_| unreadable("meter", charge.meter))?;
        let rate_id = shared.text(charge.rate_id);
        let fact = ChargeFact {
            unit_price: shared.unit_price(&rate_id, meter, charge),
            rate_id,
            amount: Amount::from_pico(i128::from(charge.amount)),
            rounded: charge.rounded != 0,
        };
        Ok((&*charge.model, meter, fact))
    };
    written.iter().map(read).collect()
}

fn take(charges: &mut Charges<'_>, model: &str, meter: Meter) -> Option<ChargeFact> {
    let at = charges.iter().position(|one| one.0 == model && one.1 == meter)?;
    Some(charges.swap_remove(at).2)
}

/// An attempt without a settlement is an orphan, and may be billed.
fn billing_class(word: Option<&str>) -> BillingClass {
    match word {
        Some("billed") => BillingClass::Billed,
        Some("not_billed") => BillingClass::NotBilled,
        Some("outside_bill") => BillingClass::OutsideBill,
        _ => BillingClass::Uncertain,
    }
}

fn ending(written: &Written<'_>, status: Option<u16>) -> Ending {
    match written.outcome {
        Some("completed") => Ending::Completed,
        Some("provider_error") if status.is_some_and(|status| status < 500) => {
            Ending::RequestRefused
        }
        Some("provider_error") => Ending::ProviderError,
        Some("client_gone") if written.first_byte_us.is_none() => Ending::ClientGoneEarly,
        Some("client_gone" | "upstream_cut" | "error_in_answer") => Ending::CutShort,
        Some("timeout" | "unreachable") => Ending::TimedOut,
        Some("refused") => Ending::RequestRefused,
        Some("cache_hit") => Ending::CacheHit,
        _ => Ending::Orphaned,
    }
}
