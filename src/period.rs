//! Time as the books keep it: UTC microseconds, days, months and half-open spans.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Days, Months, NaiveDate, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Microseconds in a second.
pub const SECOND_US: i64 = 1_000_000;
/// Microseconds in an hour, the grain of rollups.
pub const HOUR_US: i64 = 3_600 * SECOND_US;
/// Microseconds in a day.
pub const DAY_US: i64 = 24 * HOUR_US;

/// An instant: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

/// A half-open span of instants, `[start, end)`, as FOCUS defines a charge period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ChargePeriod {
    /// First instant inside.
    pub start: Timestamp,
    /// First instant after.
    pub end: Timestamp,
}

/// A calendar month in UTC, written `2026-10`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BillingPeriod {
    first_day: NaiveDate,
}

/// Why a text is no time of ours.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    /// An RFC 3339 instant was expected.
    #[error("{0:?} is not an instant like 2026-10-01T00:00:00Z")]
    NotAnInstant(String),
    /// A month was expected.
    #[error("{0:?} is not a month like 2026-10")]
    NotAMonth(String),
}

impl Timestamp {
    /// From microseconds since the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// The same instant for calendar arithmetic. Instants beyond the year 262000 read as the epoch.
    pub(crate) fn to_datetime(self) -> DateTime<Utc> {
        DateTime::from_timestamp_micros(self.0).unwrap_or_default()
    }

    /// From a calendar instant.
    pub(crate) fn from_datetime(instant: DateTime<Utc>) -> Self {
        Self(instant.timestamp_micros())
    }

    /// The UTC day this instant falls on.
    pub fn day(self) -> NaiveDate {
        self.to_datetime().date_naive()
    }

    /// Midnight UTC at the beginning of a day.
    pub fn start_of(day: NaiveDate) -> Self {
        Self(day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros())
    }

    /// The beginning of this instant's UTC hour, in microseconds.
    pub(crate) const fn hour(self) -> Self {
        Self(self.0 - self.0.rem_euclid(HOUR_US))
    }

    /// This instant moved by microseconds, saturating.
    pub const fn plus_micros(self, micros: i64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

/// RFC 3339 in UTC with the digits that are not zero: `2026-10-01T00:00:00Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.to_datetime().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl FromStr for Timestamp {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        DateTime::parse_from_rfc3339(text)
            .map(|instant| Self(instant.timestamp_micros()))
            .map_err(|_| PeriodError::NotAnInstant(text.to_owned()))
    }
}

impl ChargePeriod {
    /// Whether an instant lies inside.
    pub fn contains(&self, instant: Timestamp) -> bool {
        self.start <= instant && instant < self.end
    }

    /// Whether some instant lies in both.
    pub(crate) fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    /// The whole UTC day.
    pub fn of_day(day: NaiveDate) -> Self {
        let next = day.checked_add_days(Days::new(1)).unwrap_or(NaiveDate::MAX);
        Self { start: Timestamp::start_of(day), end: Timestamp::start_of(next) }
    }
}

impl BillingPeriod {
    /// The month an instant falls in, in UTC.
    pub(crate) fn containing(instant: Timestamp) -> Self {
        Self::of_date(instant.day())
    }

    /// The month a day falls in.
    pub(crate) fn of_date(day: NaiveDate) -> Self {
        Self { first_day: day.with_day(1).unwrap_or(day) }
    }

    /// The first day.
    pub(crate) const fn first_day(&self) -> NaiveDate {
        self.first_day
    }

    /// The following month.
    pub(crate) fn next(&self) -> Self {
        Self {
            first_day: self.first_day.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX),
        }
    }

    /// The month before.
    pub(crate) fn previous(&self) -> Self {
        Self {
            first_day: self.first_day.checked_sub_months(Months::new(1)).unwrap_or(NaiveDate::MIN),
        }
    }

    /// First instant to first instant of the next month.
    pub fn span(&self) -> ChargePeriod {
        ChargePeriod {
            start: Timestamp::start_of(self.first_day),
            end: Timestamp::start_of(self.next().first_day),
        }
    }

    /// Every day of the month, in order.
    pub fn days(&self) -> impl Iterator<Item = NaiveDate> + use<> {
        let next = self.next().first_day;
        self.first_day.iter_days().take_while(move |day| *day < next)
    }
}

impl fmt::Display for BillingPeriod {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.first_day.format("%Y-%m"))
    }
}

impl FromStr for BillingPeriod {
    type Err = PeriodError;

    fn from_str(text: &str) -> Result<Self, PeriodError> {
        let refused = || PeriodError::NotAMonth(text.to_owned());
        if text.len() != 7 {
            return Err(refused());
        }
        NaiveDate::parse_from_str(&format!("{text}-01"), "%Y-%m-%d")
            .map(|first_day| Self { first_day })
            .map_err(|_| refused())
    }
}

impl Serialize for BillingPeriod {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BillingPeriod {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_is_half_open_and_knows_its_neighbors() {
        let february: BillingPeriod = "2028-02".parse().unwrap();
        assert_eq!(february.days().count(), 29);
        assert_eq!(february.next().to_string(), "2028-03");
        assert_eq!(february.previous().to_string(), "2028-01");
        let span = february.span();
        assert!(span.contains("2028-02-29T23:59:59.999999Z".parse().unwrap()));
        assert!(!span.contains("2028-03-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn months_that_are_none_are_refused() {
        for text in ["2026", "2026-13", "2026-1", "2026-10-01", "10-2026", ""] {
            assert!(text.parse::<BillingPeriod>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_instant_before_the_epoch_has_an_hour_too() {
        let instant: Timestamp = "1969-12-31T23:30:00Z".parse().unwrap();
        assert_eq!(instant.hour().to_string(), "1969-12-31T23:00:00Z");
        assert_eq!(instant.to_string(), "1969-12-31T23:30:00Z");
    }
}
