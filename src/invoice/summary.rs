//! What a whole file came to: rows by kind, exact sums per currency, days covered, what was noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Serialize, Serializer};

use crate::invoice::refusal::Problem;
use crate::money::{Currency, canonical_text, exact_add};
use crate::period::{ChargePeriod, SECOND_US, Timestamp};

/// Problems kept with their reasons; beyond, they are only counted.
pub(crate) const PROBLEMS_KEPT: usize = 100;
/// Accounts kept by name; no export names more than a few.
const ACCOUNTS_KEPT: usize = 100;
/// Hours after the end of a day in which a provider may still move its money.
const OPEN_HOURS: i64 = 72;

/// Rows by what became of them. Every row is exactly one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RowCounts {
    /// Money rows.
    pub billed_lines: u64,
    /// Rows of quantities.
    pub usage_rows: u64,
    /// Buckets without charges, and rows of blanks.
    pub empty_buckets: u64,
    /// Totals, checked and not imported.
    pub totals: u64,
    /// Rows that could not be placed: with one, the file is refused.
    pub problems: u64,
}

impl RowCounts {
    /// All rows of the file.
    pub const fn all(&self) -> u64 {
        self.billed_lines + self.usage_rows + self.empty_buckets + self.totals + self.problems
    }
}

/// How fine the lines of a file are, and so how far a bill can be explained with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    /// One total a day: only the total can be compared.
    DayTotal,
    /// By model and meter, with quantities.
    MeterWithQuantity,
    /// By model and meter, money only.
    MeterMoney,
    /// Quantities by model.
    Quantities,
    /// Nothing was charged or used.
    Nothing,
}

/// In words, for a preview.
impl fmt::Display for Grain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::DayTotal => "one total a day: only the total can be compared",
            Self::MeterWithQuantity => {
                "by day, model and meter, with quantities: quantity and price can be told apart"
            }
            Self::MeterMoney => {
                "by day, model and meter, money only: add the usage export to tell quantity from \
                 price"
            }
            Self::Quantities => "quantities by model: add the cost export for the money",
            Self::Nothing => "nothing was charged or used",
        })
    }
}

/// What a whole file came to.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Rows by kind.
    pub rows: RowCounts,
    /// Sum of the billed lines, per currency; currencies never add.
    #[serde(serialize_with = "sums_as_text")]
    pub sums: BTreeMap<Currency, Decimal>,
    /// Sum at list prices, where the export prints them.
    #[serde(serialize_with = "sums_as_text")]
    pub list_sums: BTreeMap<Currency, Decimal>,
    /// Organizations the rows name; the importer asks where there is none.
    pub accounts: BTreeSet<String>,
    /// Every UTC day some row speaks of, empty buckets included.
    pub days: BTreeSet<NaiveDate>,
    /// Days between the first and the last that no row speaks of.
    pub missing_days: Vec<NaiveDate>,
    /// The span the file's name promises, both days inside.
    pub named_days: Option<(NaiveDate, NaiveDate)>,
    /// Dimensions the file is grouped by: those with a value in some row.
    pub grouped_by: Vec<String>,
    /// How fine the lines are.
    pub grain: Grain,
    /// Anything a person should know although it stops nothing.
    pub warnings: Vec<String>,
    /// The first `PROBLEMS_KEPT` problems; `rows.problems` counts all.
    pub problems: Vec<Problem>,
}

impl Summary {
    /// The first day some row speaks of.
    pub fn first_day(&self) -> Option<NaiveDate> {
        self.days.first().copied()
    }

    /// The last day some row speaks of.
    pub(crate) fn last_day(&self) -> Option<NaiveDate> {
        self.days.last().copied()
    }

    /// The days whose money may still move at an instant: those that ended less than 72 hours ago.
    pub fn open_days(&self, now: Timestamp) -> impl Iterator<Item = NaiveDate> + '_ {
        let settled = now.plus_micros(-OPEN_HOURS * 3_600 * SECOND_US);
        self.days.iter().copied().filter(move |day| ChargePeriod::of_day(*day).end > settled)
    }

    /// Whether the file may be imported.
    pub const fn is_clean(&self) -> bool {
        self.rows.problems == 0
    }
}

fn sums_as_text<S: Serializer>(
    sums: &BTreeMap<Currency, Decimal>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(sums.iter().map(|(currency, sum)| (currency, canonical_text(*sum))))
}

/// Things met on the way that stop nothing: said once each, with how often and where first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Noticed(BTreeMap<&'static str, (u64, u64)>);

impl Noticed {
    /// Notes something of a row; the same words count up.
    pub(crate) fn once(&mut self, what: &'static str, row: u64) {
        self.0.entry(what).or_insert((0, row)).0 += 1;
    }

    /// The sentences.
    pub(crate) fn sentences(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().map(|(what, (times, row))| match times {
            1 => format!("row {row}: {what}"),
            _ => format!("{times} rows, the first is row {row}: {what}"),
        })
    }
}

/// An exact running sum: a fast lane of 128 bits at 10⁻¹⁸, a careful one for what is finer.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ExactSum {
    fine: i128,
    rest: Decimal,
    overflown: bool,
}

const FINE_SCALE: u32 = 18;
const POWERS_OF_TEN: [i128; 19] = {
    let mut powers = [1; 19];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

impl ExactSum {
    /// Adds a value.
    pub(crate) fn add(&mut self, value: Decimal) {
        let lifted = FINE_SCALE
            .checked_sub(value.scale())
            .and_then(|missing| POWERS_OF_TEN.get(missing as usize))
            .and_then(|factor| value.mantissa().checked_mul(*factor))
            .and_then(|lifted| self.fine.checked_add(lifted));
        if let Some(sum) = lifted {
            self.fine = sum;
        } else if let Some(sum) = exact_add(self.rest, value) {
            self.rest = sum;
        } else {
            self.overflown = true;
        }
    }

    /// The sum, or `None` where it does not fit a decimal exactly.
    pub(crate) fn total(&self) -> Option<Decimal> {
        if self.overflown {
            return None;
        }
        let (mut mantissa, mut scale) = (self.fine, FINE_SCALE);
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        exact_add(Decimal::try_from_i128_with_scale(mantissa, scale).ok()?, self.rest)
    }
}

/// Gathers a [`Summary`] row by row, in memory that does not grow with the rows.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    rows: RowCounts,
    sums: BTreeMap<Currency, ExactSum>,
    list_sums: BTreeMap<Currency, ExactSum>,
    accounts: BTreeSet<String>,
    last_account: String,
    days: BTreeSet<NaiveDate>,
    last_period: Option<ChargePeriod>,
    quantities: bool,
    meters: bool,
    problems: Vec<Problem>,
    /// What was noticed.
    pub noticed: Noticed,
}

impl Gathering {
    /// Counts a money line.
    pub(crate) fn line(&mut self, line: &crate::invoice::line::BilledLine) {
        self.rows.billed_lines += 1;
        self.sums.entry(line.currency).or_default().add(line.billed_cost);
        if let Some(list_cost) = line.list_cost {
            self.list_sums.entry(line.currency).or_default().add(list_cost);
        }
        self.meters |= line.meter.is_some();
        self.quantities |= line.quantity.is_some();
        self.account(line.dimensions.organization_id.as_deref());
        self.covers(line.period);
    }

    /// Counts a row of quantities.
    pub(crate) fn usage(&mut self, row: &crate::invoice::line::UsageRow) {
        self.rows.usage_rows += 1;
        self.account(row.dimensions.organization_id.as_deref());
        self.covers(row.period);
    }

    /// Counts an empty bucket.
    pub(crate) fn empty(&mut self, period: Option<ChargePeriod>) {
        self.rows.empty_buckets += 1;
        if let Some(period) = period {
            self.covers(period);
        }
    }

    /// Counts a totals row.
    pub(crate) fn total_row(&mut self) {
        self.rows.totals += 1;
    }

    /// Counts a problem and keeps the first ones.
    pub(crate) fn problem(&mut self, problem: &Problem) {
        self.rows.problems += 1;
        if self.problems.len() < PROBLEMS_KEPT {
            self.problems.push(problem.clone());
        }
    }

    /// The sum so far in one currency.
    pub(crate) fn sum(&self, currency: Currency) -> Option<Decimal> {
        self.sums.get(&currency).map_or(Some(Decimal::ZERO), ExactSum::total)
    }

    /// The only currency so far, if there is one.
    pub(crate) fn only_currency(&self) -> Option<Currency> {
        let mut currencies = self.sums.keys();
        match (currencies.next(), currencies.next()) {
            (Some(only), None) => Some(*only),
            _ => None,
        }
    }

    /// Rows so far.
    pub(crate) const fn rows(&self) -> RowCounts {
        self.rows
    }

    fn account(&mut self, account: Option<&str>) {
        let Some(account) = account else { return };
        if self.last_account != account {
            account.clone_into(&mut self.last_account);
            if self.accounts.len() < ACCOUNTS_KEPT {
                self.accounts.insert(account.to_owned());
            }
        }
    }

    fn covers(&mut self, period: ChargePeriod) {
        if self.last_period == Some(period) {
            return;
        }
        self.last_period = Some(period);
        let mut day = period.start.day();
        // A bucket is a day or less; a longer one (refused elsewhere) is not walked through.
        for _ in 0..2 {
            if Timestamp::start_of(day) < period.end {
                self.days.insert(day);
            }
            match day.succ_opt() {
                Some(next) => day = next,
                None => break,
            }
        }
    }

    /// Closes the file. `grouped_by` are the grouping columns with a value in some row.
    pub(crate) fn close(
        self,
        grouped_by: Vec<String>,
        named_days: Option<(NaiveDate, NaiveDate)>,
        mut warnings: Vec<String>,
    ) -> Summary {
        let mut problems = self.problems;
        let mut rows = self.rows;
        let mut totals = |sums: BTreeMap<Currency, ExactSum>| {
            let mut kept = BTreeMap::new();
            for (currency, sum) in sums {
                match sum.total() {
                    Some(sum) => {
                        kept.insert(currency, sum.normalize());
                    }
                    None => {
                        rows.problems += 1;
                        problems.push(Problem {
                            row: rows.all(),
                            line: None,
                            column: None,
                            reason: format!("the sum in {currency} does not fit exactly"),
                        });
                    }
                }
            }
            kept
        };
        let (sums, list_sums) = (totals(self.sums), totals(self.list_sums));
        if sums.len() > 1 {
            let names: Vec<String> = sums.keys().map(Currency::to_string).collect();
            warnings.push(format!("amounts in {}: summed apart, never together", names.join(", ")));
        }
        warnings.extend(self.noticed.sentences());
        let grain = match (rows.billed_lines, rows.usage_rows) {
            (0, 0) => Grain::Nothing,
            (0, _) => Grain::Quantities,
            _ if self.meters && self.quantities => Grain::MeterWithQuantity,
            _ if self.meters => Grain::MeterMoney,
            _ => Grain::DayTotal,
        };
        let missing_days = missing(&self.days);
        let (accounts, days) = (self.accounts, self.days);
        Summary {
            rows,
            sums,
            list_sums,
            accounts,
            days,
            missing_days,
            named_days,
            grouped_by,
            grain,
            warnings,
            problems,
        }
    }
}

fn missing(days: &BTreeSet<NaiveDate>) -> Vec<NaiveDate> {
    match (days.first(), days.last()) {
        (Some(first), Some(last)) => first
            .iter_days()
            .take_while(|day| day < last)
            .filter(|day| !days.contains(day))
            .collect(),
        _ => Vec::new(),
    }
}
