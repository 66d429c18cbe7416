//! The provider's charge periods, and which of them an instant or a UTC day falls in.

use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::period::{BillingPeriod, ChargePeriod, DAY_US, Timestamp};

/// Days of the longest charge period that is labeled in full; no bill has one of more than a year.
const LONGEST_DAYS: i64 = 400;

/// The disjoint charge periods of a bill, in order. Usually UTC days.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    spans: Vec<ChargePeriod>,
    by_day: BTreeMap<NaiveDate, u32>,
    period: ChargePeriod,
    days_in_period: u32,
}

impl Slots {
    /// The periods the lines name, and a period for each covered day no line names.
    ///
    /// Lines that overlap (a month beside its days) are coarsened to their union: no amount may be
    /// in two periods.
    pub(crate) fn new(
        billing: BillingPeriod,
        named: &BTreeSet<ChargePeriod>,
        covered: &BTreeSet<NaiveDate>,
    ) -> Self {
        let mut spans: Vec<ChargePeriod> = Vec::new();
        for span in named {
            match spans.last_mut() {
                Some(last) if span.start < last.end => last.end = last.end.max(span.end),
                _ => spans.push(*span),
            }
        }
        let offset = spans.first().map_or(0, |span| span.start.micros().rem_euclid(DAY_US));
        let offset = if offset > DAY_US / 2 { offset - DAY_US } else { offset };
        let is_free = |spans: &[ChargePeriod], span: &ChargePeriod| {
            spans.iter().all(|other| span.end <= other.start || other.end <= span.start)
        };
        let named_spans = spans.clone();
        for day in covered {
            let utc = ChargePeriod::of_day(*day);
            let span = ChargePeriod {
                start: utc.start.plus_micros(offset),
                end: utc.end.plus_micros(offset),
            };
            if is_free(&named_spans, &span) {
                spans.push(span);
            }
        }
        spans.sort_unstable();
        let mut by_day = BTreeMap::new();
        for (index, span) in (0_u32..).zip(&spans) {
            for day in label_days(span) {
                by_day.entry(day).or_insert(index);
            }
        }
        let days_in_period = u32::try_from(billing.days().count()).unwrap_or(u32::MAX);
        Self { spans, by_day, period: billing.span(), days_in_period }
    }

    /// The slot an instant falls in.
    pub(crate) fn at(&self, instant: Timestamp) -> Option<u32> {
        let after = self.spans.partition_point(|span| span.start <= instant);
        let index = after.checked_sub(1)?;
        let span = self.spans.get(index)?;
        if span.contains(instant) { u32::try_from(index).ok() } else { None }
    }

    /// The slot our own pages would show an instant in: by its UTC day, inside the billing period.
    pub(crate) fn as_shown(&self, started_at: Timestamp) -> Option<u32> {
        if !self.period.contains(started_at) {
            return None;
        }
        self.by_day.get(&started_at.day()).copied()
    }

    /// A slot's period.
    pub(crate) fn span(&self, slot: u32) -> ChargePeriod {
        self.spans.get(slot as usize).copied().unwrap_or(self.period)
    }

    /// The provider's day (the first, of a longer period) a slot is labeled with.
    pub(crate) fn label(&self, slot: u32) -> NaiveDate {
        label_days(&self.span(slot)).next().unwrap_or_else(|| self.period.start.day())
    }

    /// The last provider day of a slot.
    pub(crate) fn last_label(&self, slot: u32) -> NaiveDate {
        label_days(&self.span(slot)).last().unwrap_or_else(|| self.label(slot))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether every slot is a day or shorter.
    pub(crate) fn are_days(&self) -> bool {
        self.spans
            .iter()
            .all(|span| span.end.micros().saturating_sub(span.start.micros()) <= DAY_US)
    }

    /// Days of the billing period that are covered, and how many it has.
    pub(crate) fn covered_days(&self) -> (Vec<NaiveDate>, u32) {
        let inside = |day: &&NaiveDate| self.period.contains(Timestamp::start_of(**day));
        (self.by_day.keys().filter(inside).copied().collect(), self.days_in_period)
    }
}

/// The provider days a span is labeled with: those whose noon, moved by the span's own offset
/// from UTC midnight, lies inside.
fn label_days(span: &ChargePeriod) -> impl Iterator<Item = NaiveDate> + use<> {
    let (start, end) = (span.start.micros(), span.end.micros());
    let first = Timestamp::from_micros(start.saturating_add(DAY_US / 2)).day();
    let length = end.saturating_sub(start).saturating_add(DAY_US / 2).div_euclid(DAY_US);
    let count = usize::try_from(length.clamp(1, LONGEST_DAYS)).unwrap_or(1);
    first.iter_days().take(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(start: &str, end: &str) -> ChargePeriod {
        ChargePeriod { start: start.parse().unwrap(), end: end.parse().unwrap() }
    }

    #[test]
    fn a_month_in_another_zone_keeps_its_own_edges_and_our_labels() {
        let los_angeles = span("2026-10-01T07:00:00Z", "2026-11-01T07:00:00Z");
        let october: BillingPeriod = "2026-10".parse().unwrap();
        let slots = Slots::new(october, &[los_angeles].into(), &BTreeSet::new());
        assert_eq!(slots.at("2026-10-01T03:00:00Z".parse().unwrap()), None);
        assert_eq!(slots.as_shown("2026-10-01T03:00:00Z".parse().unwrap()), Some(0));
        assert_eq!(slots.at("2026-11-01T03:00:00Z".parse().unwrap()), Some(0));
        assert_eq!(slots.as_shown("2026-11-01T03:00:00Z".parse().unwrap()), None);
        assert_eq!(slots.covered_days().0.len(), 31);
    }

    #[test]
    fn a_covered_day_without_a_line_is_a_slot_of_its_own() {
        let october: BillingPeriod = "2026-10".parse().unwrap();
        let days: BTreeSet<NaiveDate> = october.days().take(20).collect();
        let named = [span("2026-10-03T00:00:00Z", "2026-10-04T00:00:00Z")].into();
        let slots = Slots::new(october, &named, &days);
        assert_eq!(slots.len(), 20);
        assert_eq!(slots.at("2026-10-21T00:00:00Z".parse().unwrap()), None);
    }

    #[test]
    fn periods_that_overlap_become_one() {
        let october: BillingPeriod = "2026-10".parse().unwrap();
        let named = [
            span("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
            span("2026-10-03T00:00:00Z", "2026-10-04T00:00:00Z"),
        ];
        let slots = Slots::new(october, &named.into(), &october.days().collect());
        assert_eq!(slots.len(), 1);
    }
}
