//! The lines of the overview's tables, out of the sums of the rollups.

use serde::Serialize;

use crate::dashboard::chart::Bars;
use crate::dashboard::format::{self, Figure, Money};
use crate::dashboard::spend::{self, GroupSum};
use crate::dashboard::view::{NONE, View};
use crate::meter::Meter;
use crate::money::{Amount, Currency};
use crate::period::{ChargePeriod, DAY_US, HOUR_US, Timestamp};
use crate::store::billed::Billed;
use crate::store::overview::{Dimension, SpendCell};

/// A line of the breakdown.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct GroupLine {
    pub(crate) group: String,
    pub(crate) label: String,
    /// `None` where nothing of the group has a price: unknown, not zero.
    pub(crate) spend: Option<Money>,
    #[serde(skip)]
    pub(crate) share: String,
    /// The same in whole percent, to be drawn.
    #[serde(skip)]
    pub(crate) share_percent: u128,
    pub(crate) attempts: u64,
    pub(crate) attempts_without_price: u64,
    pub(crate) errors: u64,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    pub(crate) spend_per_attempt: Option<Money>,
    pub(crate) spend_per_1k_tokens: Option<Money>,
    #[serde(skip)]
    pub(crate) only: String,
    #[serde(skip)]
    pub(crate) requests: String,
}

/// A line of the meters.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MeterLine {
    pub(crate) meter: String,
    pub(crate) quantity: String,
    #[serde(skip)]
    pub(crate) shown: String,
    pub(crate) unpriced: String,
    #[serde(skip)]
    pub(crate) unpriced_shown: String,
    pub(crate) spend: Option<Money>,
}

/// A bucket of the chart, as a table shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BucketLine {
    #[serde(serialize_with = "format::as_text")]
    pub(crate) start: Timestamp,
    #[serde(skip)]
    pub(crate) label: String,
    pub(crate) spend: Money,
    pub(crate) by_group: Vec<Money>,
}

/// The newest attempt.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct LastLine {
    pub(crate) request: String,
    #[serde(serialize_with = "format::as_text")]
    pub(crate) started_at: Timestamp,
    #[serde(skip)]
    pub(crate) ago: String,
    pub(crate) total: Option<Money>,
    #[serde(skip)]
    pub(crate) settled: bool,
}

/// What the exports bill for the span, and what has to be said beside it.
pub(crate) fn billed_tile(
    view: &View,
    billed: &Billed,
    currency: Currency,
) -> (Option<Figure>, String) {
    let narrowed = [&view.filter.model, &view.filter.team, &view.filter.app, &view.filter.account]
        .iter()
        .any(|filter| filter.is_some())
        || view.filter.credential.is_some();
    let sum = billed.sums.get(&currency).map(|sum| Figure::new(*sum, currency));
    let (Some(figure), false) = (sum, billed.days.is_empty()) else {
        return (None, String::new());
    };
    let width = (view.filter.period.end.micros() - view.filter.period.start.micros()) / DAY_US;
    let days = format!("by the exports, for {} of {width} days", billed.days.len());
    let text = if narrowed { format!("{days}; of everything, not of these filters") } else { days };
    (Some(figure), text)
}

pub(crate) fn group_line(view: &View, sum: &GroupSum, all: Money, label: String) -> GroupLine {
    let spend = sum.spent.of(all.currency);
    let thousandfold = Amount::from_pico(spend.amount.pico().saturating_mul(1_000));
    let thousand = Money::new(thousandfold, spend.currency);
    let part = spend.amount.pico().unsigned_abs();
    let value = if sum.group.is_empty() { NONE } else { &sum.group };
    let parameter = match view.group {
        Dimension::Organization | Dimension::Project | Dimension::Workspace => "account",
        other => other.as_str(),
    };
    GroupLine {
        label,
        share: format::percent(part, all.amount.pico().unsigned_abs()),
        share_percent: part.saturating_mul(100) / all.amount.pico().unsigned_abs().max(1),
        attempts: sum.attempts,
        attempts_without_price: sum.without_price,
        errors: sum.errors,
        input_tokens: sum.input,
        output_tokens: sum.output,
        spend_per_attempt: spend.per(sum.attempts.saturating_sub(sum.without_price)),
        spend_per_1k_tokens: thousand.per(sum.priced_tokens),
        only: view.link("/", &[(parameter, value)]),
        requests: view.link("/requests", &[(parameter, value), ("group", "")]),
        spend: sum.spend(all.currency),
        group: sum.group.clone(),
    }
}

pub(crate) fn meter_lines(cells: &[SpendCell], currency: Currency) -> Vec<MeterLine> {
    let sums = spend::meters(cells);
    let lines = sums.iter().map(|sum| MeterLine {
        meter: sum.meter.to_string(),
        quantity: sum.meter.print(sum.quantity),
        shown: shown(sum.meter, sum.quantity),
        unpriced: sum.meter.print(sum.unpriced),
        unpriced_shown: if sum.unpriced == 0 {
            String::new()
        } else {
            shown(sum.meter, sum.unpriced)
        },
        spend: (sum.unpriced < sum.quantity || sum.quantity == 0).then(|| sum.spent.of(currency)),
    });
    lines.collect()
}

pub(crate) fn shown(meter: Meter, atoms: u64) -> String {
    if meter.atoms_per_unit() == 1 { format::count(atoms) } else { meter.print(atoms) }
}

pub(crate) fn bucket_lines(
    bars: &Bars,
    period: ChargePeriod,
    grain: i64,
    currency: Currency,
) -> Vec<BucketLine> {
    let money = |pico: i128| Money::new(Amount::from_pico(pico), currency);
    let value = |values: &[i128], bucket: usize| values.get(bucket).copied().unwrap_or(0);
    let lines = bars.labels.iter().enumerate().map(|(bucket, label)| BucketLine {
        start: period.start.plus_micros(grain * i64::try_from(bucket).unwrap_or(0)),
        label: label.clone(),
        spend: money(bars.series.iter().map(|(_, values)| value(values, bucket)).sum()),
        by_group: bars.series.iter().map(|(_, values)| money(value(values, bucket))).collect(),
    });
    lines.collect()
}

/// The chart in a sentence, for those who do not see it.
pub(crate) fn summary(bars: &Bars, spent: Money, grain: i64) -> String {
    let total = |bucket: usize| -> i128 {
        bars.series.iter().filter_map(|(_, values)| values.get(bucket)).sum()
    };
    let highest = (0..bars.labels.len()).max_by_key(|bucket| total(*bucket));
    let unit = match grain {
        HOUR_US => "hour",
        DAY_US => "day",
        _ => "week",
    };
    match (highest, bars.series.first()) {
        (Some(bucket), Some((first, _))) => format!(
            "{} in all. The highest {unit} is {} with {}; the largest part is {first}.",
            spent.telling_text(),
            bars.labels.get(bucket).map_or("", String::as_str),
            Money::new(Amount::from_pico(total(bucket)), spent.currency).telling_text(),
        ),
        _ => "No spend in this span.".to_owned(),
    }
}

impl GroupLine {
    /// Whether nothing under this name was ever answered, so that its zero is no price.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.attempts > 0 && self.errors == self.attempts && self.output_tokens == 0
    }

    pub(crate) fn attempts_text(&self) -> String {
        format::count(self.attempts)
    }

    pub(crate) fn input_text(&self) -> String {
        format::count(self.input_tokens)
    }

    pub(crate) fn output_text(&self) -> String {
        format::count(self.output_tokens)
    }
}
