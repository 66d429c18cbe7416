//! Sums of rollup cells for the overview: totals, groups, meters, series over time, cache saving.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::dashboard::chart::Bars;
use crate::dashboard::format::{self, Money};
use crate::dashboard::view::bucket_text;
use crate::meter::Meter;
use crate::money::{Amount, Currency};
use crate::period::{ChargePeriod, Timestamp};
use crate::store::overview::{AttemptCell, SpendCell};

/// Sums by currency; currencies never add.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Purse(BTreeMap<Currency, Amount>);

/// One line of the breakdown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct GroupSum {
    /// Value of the dimension.
    pub group: String,
    /// What the group spent.
    pub spent: Purse,
    /// Its attempts.
    pub attempts: u64,
    /// Attempts that ended in an error.
    pub errors: u64,
    /// Input tokens, cached ones included.
    pub input: u64,
    /// Output tokens, reasoning included.
    pub output: u64,
    /// Attempts whose price or usage is unknown, whole or in part.
    pub without_price: u64,
    /// Tokens with a price, of either side.
    pub priced_tokens: u64,
}

/// One meter's sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MeterSum {
    /// What was counted.
    pub meter: Meter,
    /// Atoms, priced and unpriced.
    pub quantity: u64,
    /// Atoms without a price.
    pub unpriced: u64,
    /// What the priced ones cost.
    pub spent: Purse,
}

/// What prompt caching saved, at the average input price of the same model in the same span.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CacheSaving {
    /// Reads at the input price, less what reads and the surcharge of writes cost.
    pub net: Purse,
    /// Tokens read.
    pub read: u64,
    /// Models left out, since no uncached input of theirs was priced.
    pub left_out: Vec<String>,
}

/// How the attempts ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct AttemptSums {
    /// All of them.
    pub attempts: u64,
    /// Ended in an error.
    pub errors: u64,
    /// No usage is known: not zero, unknown.
    pub unknown: u64,
    /// Usage without a price, whole or in part.
    pub unpriced: u64,
    /// Nobody can tell whether they are billed.
    pub uncertain: u64,
    /// Answered from the gateway's cache.
    pub cache_hits: u64,
    /// Paid by a seat or subscription, outside the bill.
    pub outside_bill: u64,
}

/// How many series a chart tells apart; the rest are drawn as one.
pub(crate) const SERIES: usize = 7;

impl GroupSum {
    /// What the group spent, in one currency; `None` where all of it is unknown.
    pub(crate) fn spend(&self, currency: Currency) -> Option<Money> {
        let spent = self.spent.of(currency);
        let is_unknown = self.without_price > 0 && spent.amount.is_zero();
        (!is_unknown).then_some(spent)
    }
}

impl Purse {
    /// Adds a sum, saturating.
    pub(crate) fn add(&mut self, currency: Currency, amount: Amount) {
        let held = self.0.entry(currency).or_default();
        *held = [*held, amount].into_iter().sum();
    }

    /// The sum in one currency.
    pub(crate) fn of(&self, currency: Currency) -> Money {
        Money::new(self.0.get(&currency).copied().unwrap_or_default(), currency)
    }

    /// The sums in other currencies.
    pub(crate) fn besides(&self, currency: Currency) -> Vec<Money> {
        let others = self.0.iter().filter(|(held, amount)| **held != currency && !amount.is_zero());
        others.map(|(held, amount)| Money::new(*amount, *held)).collect()
    }

    /// The currency to lead with: the dollar where there is one.
    pub(crate) fn leading(&self) -> Currency {
        let first = self.0.keys().next().copied();
        if self.0.contains_key(&Currency::USD) {
            Currency::USD
        } else {
            first.unwrap_or(Currency::USD)
        }
    }
}

/// Whether a cell is on the provider's bill, as far as its rules are known.
pub(crate) fn on_the_bill(billing_class: &str) -> bool {
    matches!(billing_class, "billed" | "uncertain")
}

/// Whether an outcome is an error: not a hang-up of the client, not an answer.
pub(crate) fn is_error(outcome: &str) -> bool {
    !matches!(outcome, "completed" | "cache_hit" | "client_gone")
}

fn is_unknown(cell: &AttemptCell) -> bool {
    matches!(cell.usage_source.as_str(), "absent" | "awaiting")
}

fn is_unpriced(cell: &AttemptCell) -> bool {
    matches!(cell.price_status.as_str(), "unpriced" | "partially_priced")
}

/// The sum of cells that a predicate picks.
pub(crate) fn total(cells: &[SpendCell], pick: impl Fn(&SpendCell) -> bool) -> Purse {
    let mut purse = Purse::default();
    for cell in cells.iter().filter(|cell| pick(cell)) {
        purse.add(cell.currency, cell.amount);
    }
    purse
}

/// The breakdown, largest spend first.
pub(crate) fn groups(cells: &[SpendCell], attempts: &[AttemptCell], by: Currency) -> Vec<GroupSum> {
    let mut sums: BTreeMap<&str, GroupSum> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| on_the_bill(&cell.billing_class)) {
        let sum = sums.entry(&cell.group).or_default();
        sum.spent.add(cell.currency, cell.amount);
        sum.input += if cell.meter.is_input() { cell.quantity } else { 0 };
        sum.output += if cell.meter.is_output() { cell.quantity } else { 0 };
        let is_token = cell.meter.is_input() || cell.meter.is_output();
        sum.priced_tokens += if is_token && cell.priced { cell.quantity } else { 0 };
    }
    for cell in attempts {
        let sum = sums.entry(&cell.group).or_default();
        sum.attempts += cell.attempts;
        sum.errors += if is_error(&cell.outcome) { cell.attempts } else { 0 };
        let unknown = is_unknown(cell) || is_unpriced(cell);
        sum.without_price += if unknown { cell.attempts } else { 0 };
    }
    let mut sorted: Vec<GroupSum> =
        sums.into_iter().map(|(group, sum)| GroupSum { group: group.to_owned(), ..sum }).collect();
    sorted.sort_by(|left, right| {
        let key = |sum: &GroupSum| (sum.spent.of(by).amount, sum.attempts);
        key(right).cmp(&key(left)).then_with(|| left.group.cmp(&right.group))
    });
    sorted
}

/// Sums by meter, in the order of the vocabulary.
pub(crate) fn meters(cells: &[SpendCell]) -> Vec<MeterSum> {
    let mut sums: BTreeMap<Meter, MeterSum> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| on_the_bill(&cell.billing_class)) {
        let sum = sums.entry(cell.meter).or_insert_with(|| MeterSum {
            meter: cell.meter,
            quantity: 0,
            unpriced: 0,
            spent: Purse::default(),
        });
        sum.quantity += cell.quantity;
        if cell.priced {
            sum.spent.add(cell.currency, cell.amount);
        } else {
            sum.unpriced += cell.quantity;
        }
    }
    sums.into_values().collect()
}

/// Numbers of attempts by what matters about them.
pub(crate) fn attempt_sums(cells: &[AttemptCell]) -> AttemptSums {
    let mut sums = AttemptSums::default();
    for cell in cells {
        let n = cell.attempts;
        let when = |holds: bool| if holds { n } else { 0 };
        sums.attempts += n;
        sums.errors += when(is_error(&cell.outcome));
        sums.unknown += when(is_unknown(cell));
        sums.unpriced += when(is_unpriced(cell));
        sums.uncertain += when(cell.billing_class == "uncertain");
        sums.cache_hits += when(cell.outcome == "cache_hit");
        sums.outside_bill += when(cell.billing_class == "outside_bill");
    }
    sums
}

/// Spend over time: one bucket of `grain_us` each, the largest groups apart, the rest together.
pub(crate) fn series(
    cells: &[SpendCell],
    period: ChargePeriod,
    grain_us: i64,
    currency: Currency,
    groups: &[GroupSum],
    label: impl Fn(&str) -> String,
) -> Bars {
    let starts: Vec<i64> = (period.start.micros()..period.end.micros())
        .step_by(usize::try_from(grain_us).unwrap_or(1))
        .collect();
    let spending = || groups.iter().filter(|sum| !sum.spent.of(currency).amount.is_zero());
    let shown = if spending().count() > SERIES + 1 { SERIES } else { SERIES + 1 };
    let mut series: Vec<(String, Vec<i128>)> =
        spending().take(shown).map(|sum| (label(&sum.group), vec![0; starts.len()])).collect();
    let named: Vec<&str> = spending().take(shown).map(|sum| sum.group.as_str()).collect();
    if spending().count() > shown {
        series.push(("other".to_owned(), vec![0; starts.len()]));
    }
    for cell in cells {
        if cell.currency != currency || !on_the_bill(&cell.billing_class) {
            continue;
        }
        let place = named.iter().position(|group| *group == cell.group).unwrap_or(named.len());
        let bucket = usize::try_from((cell.bucket.micros() - period.start.micros()) / grain_us);
        let value = series.get_mut(place).and_then(|(_, values)| values.get_mut(bucket.ok()?));
        if let Some(value) = value {
            *value += cell.amount.pico();
        }
    }
    let labels = starts.iter().map(|at| bucket_text(Timestamp::from_micros(*at), grain_us));
    Bars { labels: labels.collect(), series }
}

/// Net saving by prompt caching. It can be negative: writes that were never read.
pub(crate) fn cache_saving(cells: &[SpendCell]) -> CacheSaving {
    #[derive(Default)]
    struct Sides {
        input: (u128, i128),
        cached: (u128, i128),
        read: u64,
    }
    let mut models: BTreeMap<(&str, Currency), Sides> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| cell.priced && on_the_bill(&cell.billing_class)) {
        let sides = models.entry((&cell.model, cell.currency)).or_default();
        let name = cell.meter.as_str();
        let side = match cell.meter {
            Meter::Input => &mut sides.input,
            _ if name.starts_with("input.cache_") => &mut sides.cached,
            _ => continue,
        };
        side.0 += u128::from(cell.quantity);
        side.1 += cell.amount.pico();
        if name.starts_with("input.cache_read") {
            sides.read += cell.quantity;
        }
    }
    let mut saving = CacheSaving::default();
    for ((model, currency), sides) in models {
        if sides.cached.0 == 0 {
            continue;
        }
        let paid = u128::try_from(sides.input.1).ok().filter(|paid| *paid > 0);
        let (Some(paid), 1..) = (paid, sides.input.0) else {
            saving.left_out.push(model.to_owned());
            continue;
        };
        let uncached = format::divide_half_even(paid.saturating_mul(sides.cached.0), sides.input.0);
        let net = i128::try_from(uncached).unwrap_or(i128::MAX).saturating_sub(sides.cached.1);
        saving.net.add(currency, Amount::from_pico(net));
        saving.read += sides.read;
    }
    saving
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::DAY_US;

    fn cell(group: &str, meter: Meter, quantity: u64, amount: &str) -> SpendCell {
        SpendCell {
            bucket: Timestamp::from_micros(0),
            group: group.to_owned(),
            model: "m".to_owned(),
            meter,
            priced: true,
            billing_class: "billed".to_owned(),
            currency: Currency::USD,
            quantity,
            amount: amount.parse().unwrap(),
        }
    }

    #[test]
    fn cache_writes_nobody_read_cost_more_than_they_save() {
        let cells = [
            cell("a", Meter::Input, 1_000_000, "3"),
            cell("a", Meter::InputCacheWrite5m, 1_000_000, "3.75"),
        ];
        assert_eq!(cache_saving(&cells).net.of(Currency::USD).amount.to_string(), "-0.75");
        let read = [
            cell("a", Meter::Input, 1_000_000, "3"),
            cell("a", Meter::InputCacheRead, 2_000_000, "0.6"),
        ];
        assert_eq!(cache_saving(&read).net.of(Currency::USD).amount.to_string(), "5.4");
        let unknown = [cell("a", Meter::InputCacheRead, 2_000_000, "0.6")];
        assert_eq!(cache_saving(&unknown).left_out, ["m"]);
    }

    #[test]
    fn series_and_breakdown_hold_the_same_sum() {
        let cells: Vec<SpendCell> =
            (0..12).map(|n| cell(&format!("g{n}"), Meter::Input, 1, "0.01")).collect();
        let groups = groups(&cells, &[], Currency::USD);
        let period =
            ChargePeriod { start: Timestamp::from_micros(0), end: Timestamp::from_micros(DAY_US) };
        let bars = series(&cells, period, DAY_US, Currency::USD, &groups, str::to_owned);
        assert_eq!(bars.series.len(), SERIES + 1);
        assert_eq!(bars.series.last().unwrap().0, "other");
        let drawn: i128 = bars.series.iter().flat_map(|(_, values)| values).sum();
        assert_eq!(drawn, total(&cells, |_| true).of(Currency::USD).amount.pico());
    }

    #[test]
    fn what_is_outside_the_bill_is_not_spend() {
        let mut outside = cell("a", Meter::Input, 1, "5");
        outside.billing_class = "outside_bill".to_owned();
        let sums = groups(&[outside, cell("a", Meter::Input, 1, "1")], &[], Currency::USD);
        assert_eq!(sums[0].spent.of(Currency::USD).amount.to_string(), "1");
    }
}
