//! Preview: what a file is, what it covers and replaces, before anything of it is stored.

use std::collections::BTreeSet;

use chrono::NaiveDate;
use serde::Serialize;

use crate::bookkeeping::export_file::{ExportFile, ImportChoice, ImportError};
use crate::bookkeeping::read_export::{PartRead, look, part_hash, read_only};
use crate::bookkeeping::whose::{Accounts, Named, named_by};
use crate::invoice::format::{ExportFormat, ExportSide};
use crate::invoice::summary::{Grain, Summary};
use crate::money::canonical_text;
use crate::period::Timestamp;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::imports::{self, BatchRecord, Seal, SpeakingDay, TOTALS_ONLY};

/// Days named one by one where totals and lines differ.
const DAYS_SAID: usize = 5;

/// What a file, or one part of a zip, would come to.
#[derive(Clone, Debug, Serialize)]
pub struct Preview {
    /// The file, or the part of a zip.
    pub file: String,
    /// What it is.
    pub format: ExportFormat,
    /// The same in words.
    pub what: String,
    /// Who bills.
    pub provider: &'static str,
    /// The account it would go to; `None` where somebody has to say.
    pub account: Option<String>,
    /// Accounts known of this provider, to choose from.
    pub known_accounts: Vec<String>,
    /// Rows, sums, days, grain, warnings, problems.
    pub summary: Summary,
    /// The grain it can reach, in words.
    pub reach: String,
    /// Days of earlier batches it would speak for.
    pub replaces: Vec<Replaced>,
    /// The batch of the same bytes, where they were imported before.
    pub same_as: Option<String>,
    /// Days whose money may still move.
    pub open_days: Vec<NaiveDate>,
    /// What other file is needed for a full comparison, in words.
    pub still_missing: Option<String>,
}

/// Days of an earlier batch that a newer one speaks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Replaced {
    /// The earlier batch.
    pub batch: String,
    /// The days.
    pub days: Vec<NaiveDate>,
    /// Their sums before, per currency.
    pub before: Vec<String>,
    /// Their sums now, per currency.
    pub after: Vec<String>,
}

/// Reads a file to its end without storing anything.
///
/// # Errors
/// [`ImportError`] for a file that is no export of ours; a file with problems is previewed.
pub async fn preview(
    books: &Books,
    file: &ExportFile,
    choice: &ImportChoice,
    now: Timestamp,
) -> Result<Vec<Preview>, ImportError> {
    described(books, read(file, choice).await?, choice, now, &Named::new()).await
}

/// Reads the files of one drop without storing anything: what one lacks, another may bring, the
/// account it is of included.
pub async fn preview_drop(
    books: &Books,
    files: &[ExportFile],
    choice: &ImportChoice,
    now: Timestamp,
) -> Vec<Result<Vec<Preview>, ImportError>> {
    let mut all = Vec::new();
    for file in files {
        all.push(read(file, choice).await);
    }
    let parts = all.iter().flatten().flat_map(|file| &file.parts);
    let clean = parts.filter(|part| part.summary.is_clean());
    let named = clean.flat_map(|part| named_by(part.format.provider(), &part.summary));
    let (named, nobody): (Named, Named) = (named.collect(), Named::new());
    let mut previews = Vec::new();
    for file in all {
        previews.push(match file {
            Ok(file) => {
                let names_none = file.parts.iter().any(|part| part.summary.accounts.is_empty());
                let beside = if names_none { &named } else { &nobody };
                described(books, file, choice, now, beside).await
            }
            Err(error) => Err(error),
        });
    }
    in_one_drop(&mut previews.iter_mut().flatten().flatten().collect::<Vec<_>>());
    previews
}

/// A file that was read to its end.
struct ReadFile {
    parts: Vec<PartRead>,
    sha256: String,
}

async fn read(file: &ExportFile, choice: &ImportChoice) -> Result<ReadFile, ImportError> {
    let (names, sha256, _) = look(file, &choice.personal_key).await?;
    let mut parts = Vec::new();
    for index in 0..names.len() {
        parts.push(read_only(file, index, &choice.personal_key).await?);
    }
    Ok(ReadFile { parts, sha256 })
}

/// What a file is and would do, where others beside it name these accounts.
async fn described(
    books: &Books,
    file: ReadFile,
    choice: &ImportChoice,
    now: Timestamp,
    beside: &Named,
) -> Result<Vec<Preview>, ImportError> {
    let ReadFile { parts, sha256 } = file;
    let known = imports::batches(books).await?;
    let own = parts.iter().flat_map(|part| named_by(part.format.provider(), &part.summary));
    let accounts = Accounts::read(books, &known, own.chain(beside.iter().cloned())).await?;
    let several = parts.len() > 1;
    let mut previews = Vec::new();
    for mut part in parts {
        let account = accounts.of(&part, choice.account.as_deref()).ok();
        let sha256 = part_hash(&sha256, several.then_some(part.name.as_str()));
        let (mut replaces, mut same_as) = (Vec::new(), None);
        if let Some(account) = &account {
            same_as = imported_before(&part, account, &sha256, &known).map(str::to_owned);
            if same_as.is_none() {
                replaces = replaced_by(books, &part, account).await?;
                part.summary.warnings.extend(checked_totals(books, &part, account).await?);
            }
        }
        previews.push(Preview {
            file: part.name.clone(),
            format: part.format,
            what: part.format.to_string(),
            provider: part.format.provider(),
            known_accounts: accounts.known(part.format.provider()),
            reach: reach(&part),
            replaces,
            same_as,
            open_days: part.summary.open_days(now).collect(),
            still_missing: still_missing(&part, account.as_deref(), &known),
            account,
            summary: part.summary,
        });
    }
    in_one_drop(&mut previews.iter_mut().collect::<Vec<_>>());
    Ok(previews)
}

/// Files of one drop make up for each other: what one still misses, another may bring for the same
/// days. A file that names no account may be of any.
pub fn in_one_drop(previews: &mut [&mut Preview]) {
    let brought: Vec<Brought> = previews
        .iter()
        .filter(|preview| preview.summary.is_clean())
        .map(|preview| Brought::by(preview))
        .collect();
    for preview in previews {
        let own = Brought::by(preview);
        if brought.iter().any(|other| own.is_completed_by(other)) {
            preview.still_missing = None;
        }
    }
}

/// What a file of a drop brings.
struct Brought {
    provider: &'static str,
    account: Option<String>,
    side: ExportSide,
    days: BTreeSet<NaiveDate>,
}

impl Brought {
    fn by(preview: &Preview) -> Self {
        let named = !preview.summary.accounts.is_empty();
        Self {
            provider: preview.provider,
            account: preview.account.clone().filter(|_| named),
            side: preview.format.side(),
            days: preview.summary.days.clone(),
        }
    }

    fn is_completed_by(&self, other: &Self) -> bool {
        let sides = (self.side, other.side);
        self.provider == other.provider
            && matches!(
                sides,
                (ExportSide::Cost, ExportSide::Usage) | (ExportSide::Usage, ExportSide::Cost)
            )
            && (self.account == other.account || self.account.is_none() || other.account.is_none())
            && !self.days.is_disjoint(&other.days)
    }
}

/// The batch that already holds these bytes, or the same rows in another packing.
pub(crate) fn imported_before<'a>(
    part: &PartRead,
    account: &str,
    sha256: &str,
    known: &'a [BatchRecord],
) -> Option<&'a str> {
    let found = known.iter().find(|record| {
        let head = &record.head;
        let days = record.summary.pointer("/summary/days");
        record.withdrawn_at.is_none()
            && head.account == account
            && (head.file_sha256 == sha256
                || (head.provider == part.format.provider()
                    && head.format == part.format.as_str()
                    && record.hash == part.hash
                    && days == serde_json::to_value(&part.summary.days).ok().as_ref()))
    });
    found.map(|record| record.head.batch.as_str())
}

/// What somebody who imports the same bytes again must know: a later import of their days speaks
/// instead, so that they do not count.
pub(crate) async fn overruled(
    books: &Books,
    part: &PartRead,
    account: &str,
    before: &str,
) -> Result<Option<String>, StoreError> {
    let speaking = replaced_days(books, part, account).await?;
    let later: Vec<&SpeakingDay> = speaking.iter().filter(|day| day.batch != before).collect();
    let batches: BTreeSet<&str> = later.iter().map(|day| day.batch.as_str()).collect();
    let batches: Vec<&str> = batches.into_iter().collect();
    Ok((!later.is_empty()).then(|| {
        format!(
            "but on {} of its {} days a later import speaks: {}; to have this file count again, \
             withdraw that one",
            later.len(),
            part.summary.days.len(),
            batches.join(", ")
        )
    }))
}

/// Whether a part holds the same rows as one that is about to be sealed.
pub(crate) fn is_same(part: &PartRead, account: &str, seal: &Seal) -> bool {
    seal.head.account == account
        && seal.head.provider == part.format.provider()
        && seal.head.format == part.format.as_str()
        && seal.hash == part.hash
        && part.summary.days.iter().eq(&seal.days)
}

/// What totals by day say of the finer lines already there, which they never replace.
pub(crate) async fn checked_totals(
    books: &Books,
    part: &PartRead,
    account: &str,
) -> Result<Vec<String>, StoreError> {
    let (Some(first), Some(last)) = (part.summary.first_day(), part.summary.last_day()) else {
        return Ok(Vec::new());
    };
    if part.scope() != TOTALS_ONLY {
        return Ok(Vec::new());
    }
    let finer = |day: &SpeakingDay| {
        (day.provider.as_str(), day.account.as_str(), day.format.as_str())
            == (part.format.provider(), account, part.format.as_str())
            && day.scope != TOTALS_ONLY
            && part.summary.days.contains(&day.day)
    };
    let speaking = imports::speaking_days(books, first, last.succ_opt().unwrap_or(last)).await?;
    let known = imports::batches(books).await?;
    let (mut days, mut apart) = (0, Vec::new());
    for day in speaking.iter().filter(|day| finer(day)) {
        let Some(record) = known.iter().find(|record| record.head.batch == day.batch) else {
            continue;
        };
        days += 1;
        let (lines, total) = (day_sums(record, &[day.day]), part_sums(part, &[day.day]));
        if lines != total {
            let say = |sums: &[String]| match sums {
                [] => "nothing".to_owned(),
                sums => sums.join(" and "),
            };
            apart.push(format!(
                "{} {} by its total, {} by lines",
                day.day,
                say(&total),
                say(&lines)
            ));
        }
    }
    Ok(match (days, apart.len()) {
        (0, _) => Vec::new(),
        (days, 0) => {
            vec![format!("its totals agree with the lines already imported on {days} days")]
        }
        (days, count) => vec![format!(
            "its totals differ from the lines already imported on {count} of {days} days: {}",
            apart.iter().take(DAYS_SAID).cloned().collect::<Vec<_>>().join("; "),
        )],
    })
}

/// The days of a part that an import speaks for which the part would replace.
async fn replaced_days(
    books: &Books,
    part: &PartRead,
    account: &str,
) -> Result<Vec<SpeakingDay>, StoreError> {
    let (Some(first), Some(last)) = (part.summary.first_day(), part.summary.last_day()) else {
        return Ok(Vec::new());
    };
    let until = last.succ_opt().unwrap_or(last);
    let mut speaking = imports::speaking_days(books, first, until).await?;
    speaking.retain(|day| {
        let ours = day.provider == part.format.provider()
            && day.account == account
            && day.format == part.format.as_str()
            && part.summary.days.contains(&day.day);
        // Totals check finer exports and never replace them.
        ours && (part.scope() != TOTALS_ONLY || day.scope == TOTALS_ONLY)
    });
    Ok(speaking)
}

/// Which days of which earlier batches a part would speak for.
pub(crate) async fn replaced_by(
    books: &Books,
    part: &PartRead,
    account: &str,
) -> Result<Vec<Replaced>, StoreError> {
    let mut replaced: Vec<Replaced> = Vec::new();
    for day in replaced_days(books, part, account).await? {
        match replaced.iter_mut().find(|one| one.batch == day.batch) {
            Some(one) => one.days.push(day.day),
            None => replaced.push(Replaced {
                batch: day.batch,
                days: vec![day.day],
                before: Vec::new(),
                after: Vec::new(),
            }),
        }
    }
    if replaced.is_empty() || part.format.side() == ExportSide::Usage {
        return Ok(replaced);
    }
    let earlier = imports::batches(books).await?;
    for one in &mut replaced {
        let record = earlier.iter().find(|record| record.head.batch == one.batch);
        one.before = record.map(|record| day_sums(record, &one.days)).unwrap_or_default();
        one.after = part_sums(part, &one.days);
    }
    Ok(replaced)
}

/// Sums of some days of a part.
fn part_sums(part: &PartRead, days: &[NaiveDate]) -> Vec<String> {
    sums_of(days.iter().flat_map(|day| {
        let sums = part.sum_by_day.get(day).into_iter().flatten();
        sums.map(|(currency, sum)| (currency.to_string(), *sum))
    }))
}

/// Sums of some days of a sealed batch, from its summary.
fn day_sums(record: &BatchRecord, days: &[NaiveDate]) -> Vec<String> {
    let by_day = record.summary.get("sum_by_day");
    sums_of(days.iter().flat_map(|day| {
        let sums = by_day.and_then(|by_day| by_day.get(day.to_string()));
        let sums = sums.and_then(|sums| sums.as_object()).into_iter().flatten();
        sums.filter_map(|(currency, sum)| {
            Some((currency.clone(), crate::money::parse_decimal(sum.as_str()?).ok()?))
        })
    }))
}

fn sums_of(amounts: impl Iterator<Item = (String, rust_decimal::Decimal)>) -> Vec<String> {
    let mut sums = std::collections::BTreeMap::new();
    for (currency, amount) in amounts {
        let sum: &mut rust_decimal::Decimal = sums.entry(currency).or_default();
        *sum = crate::money::exact_add(*sum, amount).unwrap_or(*sum);
    }
    sums.into_iter().map(|(currency, sum)| format!("{} {currency}", canonical_text(sum))).collect()
}

fn reach(part: &PartRead) -> String {
    let text = match (part.summary.grain, part.format.side()) {
        (Grain::DayTotal, _) => {
            "imported as one total per day; it names no model, so only the total can be compared; \
             export again grouped by line item, it will replace this"
        }
        (Grain::MeterWithQuantity, _) => "each model and meter, quantity and price",
        (Grain::MeterMoney, _) => "each model and meter, money only; quantities need the tokens",
        (Grain::Quantities, _) => "quantities by model; money needs the cost export",
        (Grain::Nothing, _) => "nothing was charged or used in these days",
    };
    text.to_owned()
}

/// The other export of the provider that these days lack.
fn still_missing(part: &PartRead, account: Option<&str>, known: &[BatchRecord]) -> Option<String> {
    let own: Vec<String> = part.summary.days.iter().map(ToString::to_string).collect();
    // Only an import of the same days makes up for what this file lacks.
    let shares_a_day = |record: &BatchRecord| {
        let days = record.summary.pointer("/summary/days").and_then(|days| days.as_array());
        days.is_some_and(|days| {
            days.iter().filter_map(|day| day.as_str()).any(|day| own.iter().any(|own| own == day))
        })
    };
    let has = |side: &str| {
        known.iter().any(|record| {
            record.withdrawn_at.is_none()
                && record.head.provider == part.format.provider()
                && Some(record.head.account.as_str()) == account
                && record.head.format.contains(side)
                && shares_a_day(record)
        })
    };
    match part.format {
        ExportFormat::AnthropicCost if !has("tokens") => {
            Some("the Tokens export of the same days: Cost alone has no quantities".to_owned())
        }
        ExportFormat::AnthropicTokens if !has("cost") => {
            Some("the Cost export of the same days: Tokens alone has no money".to_owned())
        }
        ExportFormat::OpenAiUsage(_) if !has("cost") => Some(
            "the Costs export of the same days, grouped by line item: usage alone has no money"
                .to_owned(),
        ),
        ExportFormat::OpenAiCost if !has("usage") => {
            Some("the usage export of the same days, for tokens by tier and batch".to_owned())
        }
        _ => None,
    }
}
