//! Times as each export writes them: the form is declared per source, never guessed per row.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use crate::invoice::numbers::trimmed;
use crate::invoice::refusal::excerpt;
use crate::period::{ChargePeriod, HOUR_US, Timestamp};

/// How wide a row's bucket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum BucketWidth {
    /// One minute.
    Minute,
    /// One hour.
    Hour,
    /// One UTC day.
    Day,
    /// Anything else.
    Other,
}

/// Years an export can speak of.
const PLAUSIBLE_YEARS: std::ops::Range<i32> = 2015..2100;
/// Seconds of the years 2015 to 2100: an epoch outside is no time of an export.
const PLAUSIBLE_EPOCH: std::ops::Range<i64> = 1_420_070_400..4_102_444_800;

/// Reads seconds since the epoch (`1788134400`, also `1788134400.0`).
///
/// # Errors
/// A sentence that names the cell.
pub(crate) fn epoch_seconds(cell: &str) -> Result<Timestamp, String> {
    let text = trimmed(cell);
    let whole = text.strip_suffix(".0").unwrap_or(text);
    let digits = !whole.is_empty() && whole.bytes().all(|byte| byte.is_ascii_digit());
    match whole.parse::<i64>() {
        Ok(seconds) if digits && PLAUSIBLE_EPOCH.contains(&seconds) => {
            Ok(Timestamp::from_micros(seconds * 1_000_000))
        }
        _ => Err(format!(
            "{:?} is not a time in seconds since 1970 (a spreadsheet may have changed it)",
            excerpt(cell)
        )),
    }
}

/// Reads an ISO 8601 instant; without an offset it is UTC, as OpenAI's charged rows are.
///
/// # Errors
/// A sentence that names the cell.
pub(crate) fn iso_instant(cell: &str) -> Result<Timestamp, String> {
    let text = trimmed(cell);
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(Timestamp::from_micros(instant.timestamp_micros()));
    }
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S")
        .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S"))
        .map(|instant| Timestamp::from_datetime(instant.and_utc()))
        .map_err(|_| format!("{:?} is not a time like 2026-08-31T00:00:00+00:00", excerpt(cell)))
}

/// Reads Anthropic's `usage_date_utc`: a UTC day `2026-08-04`, or an hour `2026-08-04 02:00`.
///
/// # Errors
/// A sentence that names the cell; day-first and month-first spellings are refused, since nothing
/// tells them apart.
pub(crate) fn utc_day_or_hour(cell: &str) -> Result<(ChargePeriod, BucketWidth), String> {
    let text = trimmed(cell);
    let refused = || {
        let spreadsheet = if text.contains('/') || text.contains('.') {
            "; a spreadsheet rewrote the dates, so export again and drop the file unopened"
        } else {
            ""
        };
        format!("{:?} is not a UTC day like 2026-08-04{spreadsheet}", excerpt(cell))
    };
    let day_text = text.get(..10).ok_or_else(refused)?;
    let day = iso_day(day_text).ok_or_else(refused)?;
    let rest = text.get(10..).unwrap_or_default();
    if rest.is_empty() {
        return Ok((ChargePeriod::of_day(day), BucketWidth::Day));
    }
    let time = rest.strip_prefix([' ', 'T']).ok_or_else(refused)?;
    let time = time.strip_suffix('Z').or_else(|| time.strip_suffix("+00:00")).unwrap_or(time);
    let time = NaiveTime::parse_from_str(time, "%H:%M")
        .or_else(|_| NaiveTime::parse_from_str(time, "%H:%M:%S"))
        .map_err(|_| refused())?;
    if time.minute() != 0 || time.second() != 0 {
        return Err(format!("{:?} is neither a day nor the beginning of an hour", excerpt(cell)));
    }
    let start = Timestamp::from_datetime(day.and_time(time).and_utc());
    Ok((ChargePeriod { start, end: start.plus_micros(HOUR_US) }, BucketWidth::Hour))
}

/// Reads `2026-08-04` strictly: four, two and two digits.
pub(crate) fn iso_day(text: &str) -> Option<NaiveDate> {
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 10
        && bytes.iter().enumerate().all(|(index, byte)| {
            if matches!(index, 4 | 7) { *byte == b'-' } else { byte.is_ascii_digit() }
        });
    if !shaped {
        return None;
    }
    let year = text.get(..4)?.parse().ok().filter(|year| PLAUSIBLE_YEARS.contains(year))?;
    let month = text.get(5..7)?.parse().ok()?;
    let day = text.get(8..)?.parse().ok()?;
    NaiveDate::from_ymd_opt(year, month, day)
}

/// The days a file's name promises, both inside: `cost_2026-08-01_2026-08-31.csv`,
/// `claude_api_cost_2026_06_18_to_2026_07_05.csv`, `claude_api_tokens_2026_02.csv`.
pub(crate) fn named_days(file_name: &str) -> Option<(NaiveDate, NaiveDate)> {
    let numbers: Vec<u32> = file_name
        .split(|letter: char| !letter.is_ascii_digit())
        .filter(|digits| !digits.is_empty())
        .map(|digits| digits.parse().unwrap_or(u32::MAX))
        .collect();
    let begin = numbers.iter().position(|number| (2015..2100).contains(number))?;
    let day =
        |year: u32, month, day| NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day);
    match *numbers.get(begin..)? {
        [y1, m1, d1, y2, m2, d2] => Some((day(y1, m1, d1)?, day(y2, m2, d2)?)),
        [year, month] => {
            let month = crate::period::BillingPeriod::of_date(day(year, month, 1)?);
            Some((month.first_day(), month.next().first_day().pred_opt()?))
        }
        _ => None,
    }
}

/// How wide a period is.
pub(crate) fn width_of(period: ChargePeriod) -> BucketWidth {
    let micros = period.end.micros() - period.start.micros();
    let midnight = period.start == Timestamp::start_of(period.start.day());
    match micros {
        60_000_000 => BucketWidth::Minute,
        HOUR_US => BucketWidth::Hour,
        86_400_000_000 if midnight => BucketWidth::Day,
        _ => BucketWidth::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_moves_the_instant_and_none_means_utc() {
        let utc = iso_instant("2026-08-31T00:00:00").unwrap();
        assert_eq!(utc, iso_instant("2026-08-31T00:00:00+00:00").unwrap());
        assert_eq!(utc, iso_instant("2026-08-31T08:00:00+08:00").unwrap());
        assert_eq!(utc, epoch_seconds("1788134400").unwrap());
        assert_eq!(utc, epoch_seconds(" 1788134400.0").unwrap());
    }

    #[test]
    fn days_and_hours_of_anthropic_are_read_and_nothing_else() {
        let (period, width) = utc_day_or_hour("2026-03-31 02:00").unwrap();
        assert_eq!(
            (period.start.to_string(), width),
            ("2026-03-31T02:00:00Z".into(), BucketWidth::Hour)
        );
        assert_eq!(utc_day_or_hour(" 2026-03-31 ").unwrap().1, BucketWidth::Day);
        for cell in [
            "8/4/2026",
            "04.08.2026",
            "20260804",
            "2026-8-4",
            "2026-13-01",
            "2026-02-30",
            "",
            "2026-08",
            "2026-03-31 02:30",
            "2026-03-31 25:00",
            "2026-03-31T00:00:00+08:00",
            "２０２６-08-04",
            "46238",
        ] {
            assert!(utc_day_or_hour(cell).is_err(), "{cell:?}");
        }
    }

    #[test]
    fn a_file_name_promises_days() {
        let day = |text| iso_day(text).unwrap();
        let august = Some((day("2026-08-01"), day("2026-08-31")));
        assert_eq!(named_days("cost_2026-08-01_2026-08-31.csv"), august);
        assert_eq!(named_days("claude_api_cost_2026_08.csv"), august);
        assert_eq!(
            named_days("claude_api_cost_2026_06_18_to_2026_07_05.csv"),
            Some((day("2026-06-18"), day("2026-07-05")))
        );
        for name in ["export.csv", "cost_2026-13-01_2026-08-31.csv", "cost_2026_08_14col.csv"] {
            assert_eq!(named_days(name), None, "{name}");
        }
    }

    #[test]
    fn an_epoch_a_spreadsheet_rounded_is_refused() {
        for cell in ["1.78805E+09", "-1", "", "17881344000", "1788134400.5", "20260804"] {
            assert!(epoch_seconds(cell).is_err(), "{cell:?}");
        }
    }
}
