//! What a reconciliation is given: a month's attempts, lines, prices and what people said of it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use rust_decimal::Decimal;

use crate::bookkeeping::candidates::rates;
use crate::bookkeeping::exchange;
use crate::bookkeeping::month::{CloseError, Month, account, books_currency};
use crate::invoice::format::ExportFormat;
use crate::money::{Currency, parse_decimal};
use crate::names::{AccountId, CredentialId, ProviderName};
use crate::period::{ChargePeriod, DAY_US};
use crate::pricing::table::PriceTable;
use crate::reconcile::facts::{
    AttemptFact, DocumentTotals, ImportFact, Inputs, KeyTie, ScopeTie, Ties,
};
use crate::store::accounts;
use crate::store::books::Books;
use crate::store::facts;
use crate::store::imports;
use crate::store::reports;

/// How far around the month attempts are read: a request may be booked on the other side of it.
const MARGIN_US: i64 = 2 * DAY_US;

/// Everything the engine is given.
pub(crate) async fn gather(
    books: &Books,
    prices: &PriceTable,
    month: &Month,
) -> Result<(String, Inputs), CloseError> {
    let account = account(books, month).await?;
    let provider = &month.provider;
    let span = month.period.span();
    let around = ChargePeriod {
        start: span.start.plus_micros(-MARGIN_US),
        end: span.end.plus_micros(MARGIN_US),
    };
    let own = own_names(books, provider, &account).await?;
    let attempts = facts::attempts(books, provider, &own, around).await?;
    let mut imports = import_facts(books, month, &account).await?;
    add_idle_days(books, month, &mut imports, &attempts).await?;
    let document = document(books, month, &account).await?;
    let exchange = exchange::of_month(books, month, &account).await?;
    let rates = rates(prices, provider, &attempts, &imports);
    let inputs = Inputs {
        provider: provider.clone(),
        account: Some(AccountId::new(account.as_str())),
        period: month.period,
        currency: books_currency(prices, provider),
        price_table: prices.version().to_owned(),
        attempts,
        imports,
        rates,
        ties: ties(books, provider).await?,
        aliases: BTreeMap::new(),
        // A bill of another time zone ends some hours beside the month.
        gaps: facts::gaps(books, around).await?,
        // Books without any attempt cover nothing of the month, whenever that is asked.
        books_began: Some(facts::books_began(books).await?.unwrap_or(span.end)),
        document,
        exchange,
    };
    Ok((account, inputs))
}

/// Adds the days an export covers without a row of them: Anthropic's prints no day on which nothing
/// was used.
///
/// Between its first and its last row those are all days nothing speaks for. Before and after them,
/// where a cut and an idle day look alike, they are those its name promises, up to a day on which
/// calls passed here or one that had not settled when it came.
async fn add_idle_days(
    books: &Books,
    month: &Month,
    imports: &mut [ImportFact],
    attempts: &[AttemptFact],
) -> Result<(), CloseError> {
    let busy: BTreeSet<NaiveDate> = attempts.iter().map(|one| one.started_at.day()).collect();
    let money = imports.iter().filter(|import| import.usage.is_empty());
    let mut spoken: BTreeSet<NaiveDate> =
        money.flat_map(|import| &import.covered_days).copied().collect();
    for record in imports::batches(books).await? {
        let is_it = |import: &&mut ImportFact| {
            import.batch == record.head.batch && import.kind == ExportFormat::AnthropicCost.as_str()
        };
        let Some(import) = imports.iter_mut().find(is_it) else { continue };
        let read = |path: &str| {
            let days = record.summary.pointer(path).and_then(|days| days.as_array());
            let days = days.into_iter().flatten().filter_map(|day| day.as_str()?.parse().ok());
            days.collect::<BTreeSet<NaiveDate>>()
        };
        let (rows, named) = (read("/summary/days"), read("/summary/named_days"));
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { continue };
        let promised = |day: &NaiveDate| {
            let settled = ChargePeriod::of_day(*day).end.plus_micros(3 * DAY_US);
            let named = named.first().is_some_and(|from| from <= day) && named.last() >= Some(day);
            named && !busy.contains(day) && settled <= record.sealed_at
        };
        let days: Vec<NaiveDate> = month.period.days().collect();
        let before =
            days.iter().rev().skip_while(|day| *day >= first).take_while(|day| promised(day));
        let between = days.iter().filter(|day| first < *day && *day < last);
        let after = days.iter().skip_while(|day| *day <= last).take_while(|day| promised(day));
        let idle = before.chain(between).chain(after).copied();
        let idle: Vec<NaiveDate> = idle.filter(|day| spoken.insert(*day)).collect();
        import.covered_days.extend(idle);
    }
    Ok(())
}

/// The names an account goes by: its own, and the organizations its exports name.
async fn own_names(
    books: &Books,
    provider: &ProviderName,
    account: &str,
) -> Result<BTreeSet<String>, CloseError> {
    let mut own = BTreeSet::from([account.to_owned()]);
    for record in imports::batches(books).await? {
        let is_its_own = record.withdrawn_at.is_none()
            && record.head.provider == provider.as_str()
            && record.head.account == account;
        let named = record.summary.pointer("/summary/accounts").filter(|_| is_its_own);
        let named = named.and_then(|names| names.as_array()).into_iter().flatten();
        own.extend(named.filter_map(|name| name.as_str()).map(str::to_owned));
    }
    Ok(own)
}

/// The currency of the month's lines; US dollars, which both providers bill in, before there are
/// any.
pub(crate) fn billed_in(imports: &[ImportFact]) -> Currency {
    let mut lines = imports.iter().flat_map(|import| &import.lines);
    lines.next().map_or(Currency::USD, |line| line.currency)
}

pub(crate) async fn import_facts(
    books: &Books,
    month: &Month,
    account: &str,
) -> Result<Vec<ImportFact>, CloseError> {
    let provider = month.provider.as_str();
    let (from, until) = (month.period.first_day(), month.period.next().first_day());
    let mut speaking = imports::speaking_days(books, from, until).await?;
    speaking.retain(|day| day.provider == provider && day.account == account);
    let mut by_batch: BTreeMap<String, ImportFact> = BTreeMap::new();
    let records = imports::batches(books).await?;
    for record in records.into_iter().filter(|record| record.withdrawn_at.is_none()) {
        let own = speaking.iter().filter(|day| day.batch == record.head.batch);
        let covered_days: Vec<_> = own.map(|day| day.day).collect();
        if covered_days.is_empty() {
            continue;
        }
        let fact = ImportFact {
            batch: record.head.batch.clone(),
            file_hash: record.head.file_sha256,
            kind: record.head.format,
            covered_days,
            imported_at: Some(record.sealed_at),
            lines: Vec::new(),
            usage: Vec::new(),
        };
        by_batch.insert(record.head.batch, fact);
    }
    for stored in imports::billed_lines(books, &speaking).await? {
        if let Some(fact) = by_batch.get_mut(&stored.batch) {
            fact.lines.push(stored.line);
        }
    }
    for stored in imports::usage_rows(books, &speaking).await? {
        if let Some(fact) = by_batch.get_mut(&stored.batch) {
            fact.usage.push(stored.usage);
        }
    }
    Ok(by_batch.into_values().collect())
}

async fn document(
    books: &Books,
    month: &Month,
    account: &str,
) -> Result<Option<DocumentTotals>, CloseError> {
    let of = month.of(account);
    let Some(stored) = reports::document(books, &of).await? else { return Ok(None) };
    let read = |what, text: Option<String>| match text {
        None => Ok(None),
        Some(text) => parse_decimal(&text)
            .map(Some)
            .map_err(|source| CloseError::NotAnAmount { what, source }),
    };
    let (tax, credits) = (read("tax", stored.tax)?, read("credits", stored.credits)?);
    let document = read("total", stored.total)?.map(|total| DocumentTotals {
        total,
        tax: tax.unwrap_or(Decimal::ZERO),
        credits: credits.unwrap_or(Decimal::ZERO),
    });
    Ok(document)
}

/// What people said of keys, projects and workspaces of a provider.
async fn ties(books: &Books, provider: &ProviderName) -> Result<Ties, CloseError> {
    let mut ties = Ties::default();
    let prefix = |kind: &str| format!("{kind}:{provider}/");
    for (subject, said) in accounts::remarks(books).await? {
        if let Some(credential) = subject.strip_prefix("credential:")
            && let Some(tied) = said.get("tied_to")
        {
            let (credential, confirmed) = (CredentialId::new(credential), true);
            let named = |kind| tied.strip_prefix(&prefix(kind)).map(str::to_owned);
            if let Some(key) = named("key") {
                ties.keys.push(KeyTie { key, credential, confirmed });
            } else if let Some(scope) = named("project").or_else(|| named("workspace")) {
                ties.credentials.push(ScopeTie { credential, scope, confirmed });
            }
        }
        for kind in ["key", "project", "workspace"] {
            if let Some(name) = subject.strip_prefix(&prefix(kind))
                && let Some(known) = said.get("known")
            {
                ties.known.insert(name.to_owned(), known.clone());
            }
        }
        for kind in ["project", "workspace"] {
            if let Some(name) = subject.strip_prefix(&prefix(kind))
                && let Some(tied) = said.get("tied_to")
            {
                ties.scopes.insert(name.to_owned(), tied.clone());
            }
        }
    }
    Ok(ties)
}
