//! What a page was asked to show: range, filters and grouping, read from and written to its URL.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{Datelike, Days, NaiveDate};

use crate::dashboard::page::PageError;
use crate::period::{BillingPeriod, ChargePeriod, DAY_US, Timestamp};
use crate::store::overview::Dimension;
use crate::store::read::AttemptFilter;

/// Value in the URL for "not said".
pub(crate) const NONE: &str = "(none)";

/// The parameters of a URL.
pub(crate) type Query = BTreeMap<String, String>;

/// What is to be shown.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// The attempts spoken of.
    pub filter: AttemptFilter,
    /// The earlier span of equal standing, for comparison.
    pub previous: ChargePeriod,
    /// Name of the chosen range.
    pub range: String,
    /// What spend is broken down by.
    pub group: Dimension,
    /// The parameters, empty ones left out.
    pub query: Query,
}

/// One range a page offers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RangeChoice {
    /// In the URL.
    pub value: &'static str,
    /// For people.
    pub label: &'static str,
}

/// One range, and the address of the page over it.
#[derive(Clone, Debug)]
pub(crate) struct RangeLink {
    /// For people.
    pub label: String,
    /// The page over this range.
    pub link: String,
    /// Whether it is the one shown.
    pub is_current: bool,
}

/// One filter that is set, and the address without it.
#[derive(Clone, Debug)]
pub(crate) struct SetFilter {
    /// What is filtered.
    pub name: String,
    /// By which value.
    pub value: String,
    /// The page without it.
    pub without: String,
}

/// The ranges offered.
pub(crate) const RANGES: &[RangeChoice] = &[
    RangeChoice { value: "today", label: "Today" },
    RangeChoice { value: "7d", label: "7 days" },
    RangeChoice { value: "last-week", label: "Last week" },
    RangeChoice { value: "30d", label: "30 days" },
    RangeChoice { value: "month", label: "This month" },
    RangeChoice { value: "last-month", label: "Last month" },
    RangeChoice { value: "year", label: "12 months" },
];

/// Parameters that narrow the attempts.
pub(crate) const FILTERS: &[&str] =
    &["provider", "model", "team", "app", "account", "credential", "status"];

impl View {
    /// Reads the parameters of a URL.
    ///
    /// # Errors
    /// [`PageError::NotUnderstood`] with the parameter that cannot be read.
    pub(crate) fn read(query: &Query, now: Timestamp) -> Result<Self, PageError> {
        let query: Query = query
            .iter()
            .filter(|(_, value)| !value.trim().is_empty())
            .map(|(name, value)| (name.clone(), value.trim().to_owned()))
            .collect();
        let (range, period, previous) = read_range(&query, now)?;
        let group = query.get("group").map_or("provider", String::as_str);
        let group = Dimension::ALL.iter().find(|by| by.as_str() == group).copied();
        let group = group.ok_or_else(|| not_understood("group", "a dimension such as team"))?;
        let wanted = |name: &str| {
            let said = query.get(name)?;
            Some(if said == NONE { String::new() } else { said.clone() })
        };
        let filter = AttemptFilter {
            period,
            provider: wanted("provider"),
            model: wanted("model"),
            team: wanted("team"),
            app: wanted("app"),
            account: wanted("account"),
            credential: wanted("credential"),
        };
        Ok(Self { filter, previous, range, group, query })
    }

    /// A parameter as it was given.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// The same view at another path with some parameters changed; an empty value takes one out.
    pub(crate) fn link(&self, path: &str, changes: &[(&str, &str)]) -> String {
        let mut query = self.query.clone();
        for name in ["before", "table", "limit"] {
            query.remove(name);
        }
        for (name, value) in changes {
            if value.is_empty() {
                query.remove(*name);
            } else {
                query.insert((*name).to_owned(), (*value).to_owned());
            }
        }
        let query = encode(&query);
        if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
    }

    /// The parameters as a query string.
    pub(crate) fn query_text(&self) -> String {
        encode(&self.query)
    }

    /// The ranges offered, and the one shown if it is none of them.
    pub(crate) fn range_links(&self, path: &str) -> Vec<RangeLink> {
        let offered = RANGES.iter().map(|choice| RangeLink {
            label: choice.label.to_owned(),
            link: self.link(path, &[("range", choice.value), ("from", ""), ("to", "")]),
            is_current: choice.value == self.range,
        });
        let mut links: Vec<RangeLink> = offered.collect();
        if !links.iter().any(|link| link.is_current) {
            let own = if self.range == "custom" { "Chosen days" } else { &self.range };
            let link = self.link(path, &[]);
            links.push(RangeLink { label: own.to_owned(), link, is_current: true });
        }
        links
    }

    /// Whether the form of filters has something in it that the row of ranges does not show.
    pub(crate) fn is_narrowed(&self) -> bool {
        self.range == "custom" || FILTERS.iter().any(|name| self.query.contains_key(*name))
    }

    /// The filters that are set.
    pub(crate) fn set_filters(&self, path: &str) -> Vec<SetFilter> {
        let set = FILTERS.iter().filter_map(|name| Some((*name, self.query.get(*name)?)));
        set.map(|(name, value)| SetFilter {
            name: name.to_owned(),
            value: value.clone(),
            without: self.link(path, &[(name, "")]),
        })
        .collect()
    }

    /// The span in words: `1 Oct 2026 to 31 Oct 2026 (UTC)`.
    pub(crate) fn period_text(&self) -> String {
        span_text(self.filter.period)
    }
}

/// A span of whole days in words, its last day included.
pub(crate) fn span_text(period: ChargePeriod) -> String {
    let first = period.start.day();
    let last = period.end.plus_micros(-1).day();
    let print = |day: NaiveDate| day.format("%-d %b %Y").to_string();
    if first == last {
        format!("{} (UTC)", print(first))
    } else {
        format!("{} to {} (UTC)", print(first), print(last))
    }
}

/// A parameter's text in a URL.
pub(crate) fn encode_text(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

fn encode(query: &Query) -> String {
    let pairs: Vec<String> = query
        .iter()
        .map(|(name, value)| format!("{}={}", encode_text(name), encode_text(value)))
        .collect();
    pairs.join("&")
}

fn not_understood(name: &str, wanted: &str) -> PageError {
    PageError::NotUnderstood(format!("The parameter {name} in the address should be {wanted}."))
}

fn read_range(
    query: &Query,
    now: Timestamp,
) -> Result<(String, ChargePeriod, ChargePeriod), PageError> {
    let tomorrow = Timestamp::start_of(now.day()).plus_micros(DAY_US);
    let days = |n: i64| {
        let start = tomorrow.plus_micros(-n * DAY_US);
        let before = ChargePeriod { start: start.plus_micros(-n * DAY_US), end: start };
        (ChargePeriod { start, end: tomorrow }, before)
    };
    let month = BillingPeriod::containing(now);
    let whole = |month: BillingPeriod| (month.span(), month.previous().span());
    if query.contains_key("from") || query.contains_key("to") {
        let (period, before) = read_days(query, now)?;
        return Ok(("custom".to_owned(), period, before));
    }
    let range = query.get("range").map_or("month", String::as_str);
    let (period, before) = match range {
        "today" => days(1),
        "7d" => days(7),
        "30d" => days(30),
        "last-week" => {
            let weekday = i64::from(now.day().weekday().num_days_from_monday());
            let end = Timestamp::start_of(now.day()).plus_micros(-weekday * DAY_US);
            let start = end.plus_micros(-7 * DAY_US);
            let before = ChargePeriod { start: start.plus_micros(-7 * DAY_US), end: start };
            (ChargePeriod { start, end }, before)
        }
        "month" => (month.span(), so_far(month, now)),
        "last-month" => whole(month.previous()),
        "year" => {
            let start = (0..11).fold(month, |month, _| month.previous()).span().start;
            let period = ChargePeriod { start, end: month.span().end };
            let width = period.end.micros() - start.micros();
            (period, ChargePeriod { start: start.plus_micros(-width), end: start })
        }
        other => match other.parse::<BillingPeriod>() {
            Ok(month) => whole(month),
            Err(_) => return Err(not_understood("range", "one of the choices, or 2026-10")),
        },
    };
    Ok((range.to_owned(), period, before))
}

/// The month before, as far into it as this month has come; compared whole hours only.
fn so_far(month: BillingPeriod, now: Timestamp) -> ChargePeriod {
    let before = month.previous().span();
    let elapsed = now.hour().micros() - month.span().start.micros();
    ChargePeriod { start: before.start, end: before.start.plus_micros(elapsed).min(before.end) }
}

fn read_days(query: &Query, now: Timestamp) -> Result<(ChargePeriod, ChargePeriod), PageError> {
    let day = |name: &str| match query.get(name) {
        None => Ok(None),
        Some(text) => match text.parse::<NaiveDate>() {
            Ok(day) if (1970..3000).contains(&day.year()) => Ok(Some(day)),
            _ => Err(not_understood(name, "a day like 2026-10-31")),
        },
    };
    let to = day("to")?.unwrap_or_else(|| now.day());
    let from = day("from")?.unwrap_or(to);
    if from > to {
        return Err(not_understood("from", "a day not after `to`"));
    }
    let start = Timestamp::start_of(from);
    let end = Timestamp::start_of(to.checked_add_days(Days::new(1)).unwrap_or(to));
    let width = end.micros() - start.micros();
    let before = ChargePeriod { start: start.plus_micros(-width), end: start };
    Ok((ChargePeriod { start, end }, before))
}

/// A value of a dimension for people; what was not said is said to be so.
pub(crate) fn named(value: &str) -> String {
    if value.is_empty() { "not said".to_owned() } else { value.to_owned() }
}

/// A month in words: `October 2026`.
pub(crate) fn month_text(month: BillingPeriod) -> String {
    month.first_day().format("%B %Y").to_string()
}

/// A day's label under a bar.
pub(crate) fn bucket_text(at: Timestamp, grain_us: i64) -> String {
    if grain_us < DAY_US {
        at.to_datetime().format("%H:%M").to_string()
    } else {
        at.to_datetime().format("%-d %b").to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(pairs: &[(&str, &str)]) -> Result<View, PageError> {
        let query = pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        View::read(&query, "2026-11-21T10:30:00Z".parse().unwrap())
    }

    #[test]
    fn a_month_so_far_is_compared_with_as_much_of_the_month_before() {
        let month = view(&[]).unwrap();
        assert_eq!(month.filter.period.start.to_string(), "2026-11-01T00:00:00Z");
        assert_eq!(month.previous.start.to_string(), "2026-10-01T00:00:00Z");
        assert_eq!(month.previous.end.to_string(), "2026-10-21T10:00:00Z");
    }

    #[test]
    fn days_from_the_url_include_the_last_one() {
        let week = view(&[("from", "2026-10-26"), ("to", "2026-11-01")]).unwrap();
        assert_eq!(week.period_text(), "26 Oct 2026 to 1 Nov 2026 (UTC)");
        assert_eq!(week.previous.end, week.filter.period.start);
        assert!(view(&[("from", "31.10.2026")]).is_err());
        assert!(view(&[("from", "2026-11-02"), ("to", "2026-11-01")]).is_err());
        assert!(view(&[("range", "yesterdayish")]).is_err());
        assert!(view(&[("group", "shoe size")]).is_err());
    }

    #[test]
    fn last_week_is_monday_to_sunday() {
        let week = view(&[("range", "last-week")]).unwrap();
        assert_eq!(week.period_text(), "9 Nov 2026 to 15 Nov 2026 (UTC)");
        assert_eq!(span_text(week.previous), "2 Nov 2026 to 8 Nov 2026 (UTC)");
    }

    #[test]
    fn the_shown_range_is_among_the_links_and_keeps_the_filters() {
        let links = view(&[("range", "2026-08"), ("team", "search")]).unwrap().range_links("/");
        let shown: Vec<&str> =
            links.iter().filter(|link| link.is_current).map(|link| link.label.as_str()).collect();
        assert_eq!(shown, ["2026-08"]);
        assert_eq!(links[0].link, "/?range=today&team=search");
    }

    #[test]
    fn empty_form_fields_filter_nothing_and_not_said_can_be_asked_for() {
        let asked = view(&[("team", ""), ("app", NONE), ("model", "a&b=c")]).unwrap();
        assert_eq!(asked.filter.team, None);
        assert_eq!(asked.filter.app.as_deref(), Some(""));
        assert_eq!(asked.link("/requests", &[("app", "")]), "/requests?model=a%26b%3Dc");
    }
}
