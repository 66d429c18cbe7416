//! The sandbox's bill: its book, with its faults, in the two providers' own export layouts.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use rust_decimal::{Decimal, RoundingStrategy};

use crate::money::{canonical_text, exact_mul};
use crate::period::{BillingPeriod, SECOND_US, Timestamp};
use crate::sandbox::book::{SandboxKey, Served, Side};
use crate::sandbox::faults::Fault;
use crate::sandbox::provider::{ORGANIZATION, Sandbox};
use crate::sandbox::rates::{self, SandboxModel};

/// One file of the bill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BillFile {
    /// The name the provider's console would give it.
    pub name: String,
    /// The file.
    pub bytes: Vec<u8>,
}

/// Why a bill could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BillError {
    /// The CSV writer failed.
    #[error("the bill could not be written: {0}")]
    Csv(#[from] csv::Error),
    /// The CSV writer could not hand its bytes over.
    #[error("the bill could not be finished: {0}")]
    Unfinished(String),
    /// A sum did not fit.
    #[error("the amount for {0} does not fit a decimal")]
    Amount(String),
}

/// Tokens of one day, key and model.
#[derive(Clone, Copy, Debug, Default)]
struct Tokens {
    calls: u64,
    uncached: u64,
    cache_read: u64,
    cache_write_5m: u64,
    output: u64,
}

type Day = BTreeMap<(String, String), Tokens>;

/// All four exports of a month, as a person would download them from the two consoles.
///
/// # Errors
/// [`BillError`], which no served traffic of a realistic size causes.
pub(crate) fn month(
    sandbox: &Sandbox,
    period: BillingPeriod,
    faults: &[Fault],
) -> Result<Vec<BillFile>, BillError> {
    let bill = Bill { keys: sandbox.keys(), served: sandbox.book.all(), period, faults };
    let (first, last) = (period.first_day(), period.days().last().unwrap_or_default());
    let month = period.first_day().format("%Y_%m");
    Ok(vec![
        BillFile { name: format!("cost_{first}_{last}.csv"), bytes: bill.openai_cost()? },
        BillFile {
            name: format!("completions_usage_{first}_{last}.csv"),
            bytes: bill.openai_usage()?,
        },
        BillFile { name: format!("claude_api_cost_{month}.csv"), bytes: bill.anthropic_cost()? },
        BillFile {
            name: format!("claude_api_tokens_{month}.csv"),
            bytes: bill.anthropic_tokens()?,
        },
    ])
}

struct Bill<'a> {
    keys: &'a [SandboxKey],
    served: Vec<Served>,
    period: BillingPeriod,
    faults: &'a [Fault],
}

impl Bill<'_> {
    /// What was used on one day, by key and model, as billing sees it.
    fn day(&self, side: Side, day: NaiveDate) -> Day {
        let mut sums = Day::new();
        for served in self.served.iter().filter(|served| served.side == side) {
            if self.booked_at(served).day() != day {
                continue;
            }
            let sum = sums.entry((served.key.clone(), served.model.clone())).or_default();
            sum.calls += 1;
            sum.cache_write_5m += served.cache_write_5m;
            sum.output += served.output;
            if self.bills_cache_as_uncached(&served.model) {
                sum.uncached += served.uncached + served.cache_read;
            } else {
                sum.uncached += served.uncached;
                sum.cache_read += served.cache_read;
            }
        }
        sums
    }

    fn booked_at(&self, served: &Served) -> Timestamp {
        let late = self.faults.iter().find_map(|fault| match fault {
            Fault::BookedWhenDone { model, after_s } if *model == served.model => Some(*after_s),
            _ => None,
        });
        served.started_at.plus_micros(late.unwrap_or(0).saturating_mul(SECOND_US))
    }

    fn bills_cache_as_uncached(&self, served_model: &str) -> bool {
        self.faults.iter().any(|fault| {
            matches!(fault, Fault::CachedBilledAsUncached { model } if *model == served_model)
        })
    }

    fn price_of(&self, served_model: &str) -> Option<SandboxModel> {
        let stale = self.faults.iter().find_map(|fault| match fault {
            Fault::StalePrice { old } if old.served == served_model => Some(*old),
            _ => None,
        });
        stale.or_else(|| rates::find(served_model).copied())
    }

    fn pay_permille(&self) -> u32 {
        let discount = self.faults.iter().find_map(|fault| match fault {
            Fault::Discount { pay_permille } => Some(*pay_permille),
            _ => None,
        });
        discount.unwrap_or(1_000)
    }

    fn key(&self, id: &str) -> (String, String) {
        let found = self.keys.iter().find(|key| key.id == id);
        found.map_or_else(Default::default, |key| (key.name.clone(), key.project.clone()))
    }

    /// Dashboard "Export", grouped by line item, project and key: 17 columns, exact amounts.
    fn openai_cost(&self) -> Result<Vec<u8>, BillError> {
        let mut file = csv::Writer::from_writer(Vec::new());
        file.write_record([
            "start_time",
            "end_time",
            "start_time_iso",
            "end_time_iso",
            "amount_value",
            "amount_currency",
            "quantity",
            "quantity_unit",
            "line_item",
            "user_id",
            "api_key_id",
            "project_id",
            "organization_id",
            "project_name",
            "organization_name",
            "user_email",
            "api_source",
        ])?;
        for day in self.period.days() {
            let times = DayTimes::of(day);
            let sums = self.day(Side::OpenAi, day);
            if sums.is_empty() {
                let mut row = vec![times.start, times.end, times.start_iso, times.end_iso];
                row[2].push_str("+00:00");
                row[3].push_str("+00:00");
                row.resize(17, String::new());
                file.write_record(&row)?;
                continue;
            }
            for ((key, model), tokens) in &sums {
                let Some(price) = self.price_of(model) else { continue };
                let lines = [
                    ("input", tokens.uncached, price.input),
                    ("cached input", tokens.cache_read, price.cache_read),
                    ("output", tokens.output, price.output),
                ];
                for (direction, quantity, rate) in lines {
                    if quantity == 0 {
                        continue;
                    }
                    let amount = amount(quantity, rate, model)?;
                    let (_, project) = self.key(key);
                    file.write_record([
                        times.start.as_str(),
                        &times.end,
                        &times.start_iso,
                        &times.end_iso,
                        &with_decimals(amount, 36),
                        "usd",
                        &format!("{quantity}.0"),
                        "tokens",
                        &format!("{model}, {direction}"),
                        "",
                        key,
                        &project,
                        ORGANIZATION,
                        &project,
                        "Sandbox",
                        "",
                        "",
                    ])?;
                }
            }
        }
        finish(file)
    }

    /// The completions usage export: 26 columns, counts as fractions, cached inside input.
    fn openai_usage(&self) -> Result<Vec<u8>, BillError> {
        let mut file = csv::Writer::from_writer(Vec::new());
        file.write_record([
            "start_time",
            "end_time",
            "start_time_iso",
            "end_time_iso",
            "project_id",
            "num_model_requests",
            "user_id",
            "api_key_id",
            "model",
            "batch",
            "service_tier",
            "compute_units",
            "input_tokens",
            "output_tokens",
            "input_cached_tokens",
            "input_cache_write_tokens",
            "input_uncached_tokens",
            "input_text_tokens",
            "output_text_tokens",
            "input_cached_text_tokens",
            "input_audio_tokens",
            "input_cached_audio_tokens",
            "output_audio_tokens",
            "input_image_tokens",
            "input_cached_image_tokens",
            "output_image_tokens",
        ])?;
        for day in self.period.days() {
            let times = DayTimes::of(day);
            for ((key, model), tokens) in &self.day(Side::OpenAi, day) {
                // Embeddings have an export of their own.
                if rates::find(model).is_none_or(|model| model.output.is_empty()) {
                    continue;
                }
                let (_, project) = self.key(key);
                let count = |tokens: u64| format!("{tokens}.0");
                let input = tokens.uncached + tokens.cache_read;
                let mut row = vec![
                    times.start.clone(),
                    times.end.clone(),
                    format!("{}+00:00", times.start_iso),
                    format!("{}+00:00", times.end_iso),
                    project,
                    count(tokens.calls),
                    String::new(),
                    key.clone(),
                    model.clone(),
                    "False".to_owned(),
                    "default".to_owned(),
                    String::new(),
                    count(input),
                    count(tokens.output),
                    count(tokens.cache_read),
                    count(0),
                    count(tokens.uncached),
                    count(input),
                    count(tokens.output),
                    count(tokens.cache_read),
                ];
                row.resize(26, count(0));
                file.write_record(&row)?;
            }
        }
        finish(file)
    }

    /// The console's cost export: 14 columns, each row rounded half-up to the cent.
    fn anthropic_cost(&self) -> Result<Vec<u8>, BillError> {
        let mut file = csv::Writer::from_writer(Vec::new());
        file.write_record([
            "usage_date_utc",
            "model",
            "workspace",
            "api_key",
            "usage_type",
            "context_window",
            "token_type",
            "cost_usd",
            "list_price_usd",
            "cost_type",
            "inference_geo",
            "speed",
            "api_key_id",
            "api_key_status",
        ])?;
        for day in self.period.days() {
            for ((key, model), tokens) in &self.day(Side::Anthropic, day) {
                let Some(price) = self.price_of(model) else { continue };
                let (key_name, workspace) = self.key(key);
                let lines = [
                    ("input_no_cache", tokens.uncached, price.input),
                    ("input_cache_write_5m", tokens.cache_write_5m, price.cache_write_5m),
                    ("input_cache_read", tokens.cache_read, price.cache_read),
                    ("output", tokens.output, price.output),
                ];
                for (kind, quantity, rate) in lines {
                    if quantity == 0 {
                        continue;
                    }
                    let list = amount(quantity, rate, model)?;
                    let share = Decimal::new(i64::from(self.pay_permille()), 3);
                    let cost =
                        exact_mul(list, share).ok_or_else(|| BillError::Amount(model.clone()))?;
                    file.write_record([
                        day.to_string().as_str(),
                        price.display,
                        &workspace,
                        &key_name,
                        "message",
                        "≤ 200k",
                        kind,
                        &cents(cost),
                        &cents(list),
                        "token",
                        "not_available",
                        "",
                        key,
                        "active",
                    ])?;
                }
            }
        }
        finish(file)
    }

    /// The console's token export: whole tokens by day, key and dated model.
    fn anthropic_tokens(&self) -> Result<Vec<u8>, BillError> {
        let mut file = csv::Writer::from_writer(Vec::new());
        file.write_record([
            "usage_date_utc",
            "model_version",
            "api_key",
            "workspace",
            "usage_type",
            "context_window",
            "usage_input_tokens_no_cache",
            "usage_input_tokens_cache_write_5m",
            "usage_input_tokens_cache_write_1h",
            "usage_input_tokens_cache_read",
            "usage_output_tokens",
            "web_search_count",
            "inference_geo",
            "speed",
        ])?;
        for day in self.period.days() {
            for ((key, model), tokens) in &self.day(Side::Anthropic, day) {
                let (key_name, workspace) = self.key(key);
                file.write_record([
                    day.to_string().as_str(),
                    model,
                    &key_name,
                    &workspace,
                    "standard",
                    "≤ 200k",
                    &tokens.uncached.to_string(),
                    &tokens.cache_write_5m.to_string(),
                    "0",
                    &tokens.cache_read.to_string(),
                    &tokens.output.to_string(),
                    "0",
                    "not_available",
                    "",
                ])?;
            }
        }
        finish(file)
    }
}

/// A day as OpenAI's exports print it.
struct DayTimes {
    start: String,
    end: String,
    start_iso: String,
    end_iso: String,
}

impl DayTimes {
    fn of(day: NaiveDate) -> Self {
        let next = day.succ_opt().unwrap_or(NaiveDate::MAX);
        let seconds = |day| (Timestamp::start_of(day).micros() / SECOND_US).to_string();
        Self {
            start: seconds(day),
            end: seconds(next),
            start_iso: format!("{day}T00:00:00"),
            end_iso: format!("{next}T00:00:00"),
        }
    }
}

fn amount(quantity: u64, rate: &str, model: &str) -> Result<Decimal, BillError> {
    rates::at_price(quantity, rate).ok_or_else(|| BillError::Amount(model.to_owned()))
}

/// The text with so many decimals, as OpenAI prints its amounts.
fn with_decimals(value: Decimal, decimals: usize) -> String {
    let text = canonical_text(value);
    let shown = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    let point = if shown == 0 { "." } else { "" };
    format!("{text}{point}{}", "0".repeat(decimals.saturating_sub(shown)))
}

/// Half-up to the cent, as Anthropic's console prints each row.
fn cents(value: Decimal) -> String {
    format!("{:.2}", value.round_dp_with_strategy(2, RoundingStrategy::MidpointAwayFromZero))
}

fn finish(file: csv::Writer<Vec<u8>>) -> Result<Vec<u8>, BillError> {
    file.into_inner().map_err(|error| BillError::Unfinished(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_printed_as_the_consoles_print_them() {
        let amount = rates::at_price(106_885, "0.6").unwrap();
        assert_eq!(with_decimals(amount, 36), "0.064131000000000000000000000000000000");
        assert_eq!(cents(crate::money::parse_decimal("0.125").unwrap()), "0.13");
        assert_eq!(cents(crate::money::parse_decimal("1.65").unwrap()), "1.65");
    }
}
