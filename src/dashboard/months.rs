//! The states of months: per provider and account, what is imported and whether it is reconciled.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::dashboard::format::Figure;
use crate::dashboard::page::PageError;
use crate::dashboard::view::month_text;
use crate::period::{BillingPeriod, HOUR_US, Timestamp};
use crate::reconcile::report::Report;
use crate::store::books::Books;
use crate::store::months::{self as store, CoveredDay, ReportRecord};

/// Months by accounts.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MonthStrip {
    /// The months, oldest first.
    pub months: Vec<BillingPeriod>,
    /// One line for each provider and account.
    pub lines: Vec<MonthLine>,
}

/// One account over the months.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MonthLine {
    /// Who bills.
    pub provider: String,
    /// The account, empty while no export named one.
    pub account: String,
    /// One cell a month.
    pub cells: Vec<MonthCell>,
}

/// One month of one account.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct MonthCell {
    /// The month.
    pub period: BillingPeriod,
    /// One word for style and JSON.
    pub state: MonthState,
    /// The state in words.
    pub text: String,
    /// How the bill stands to what was recorded, where a report says so: `bill $8.87 more`.
    pub bill: Option<String>,
    /// Where it is worked on.
    #[serde(skip)]
    pub link: String,
}

/// How far a month has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MonthState {
    /// Before our first attempt, and no export either.
    Before,
    /// No export speaks for a day of it.
    NoExport,
    /// Only some of its days.
    Partial,
    /// All days, the newest still moving.
    Provisional,
    /// All days imported, not compared yet.
    Imported,
    /// Only totals could be compared.
    TotalOnly,
    /// Compared.
    Reconciled,
    /// Something came in after the comparison.
    Stale,
}

/// Hours after a month's end during which providers still move their figures.
const SETTLING_HOURS: i64 = 72;

impl MonthState {
    /// The word of the style sheet.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::NoExport => "no-export",
            Self::Partial => "partial",
            Self::Provisional => "provisional",
            Self::Imported => "imported",
            Self::TotalOnly => "total-only",
            Self::Reconciled => "reconciled",
            Self::Stale => "stale",
        }
    }

    /// A sign beside the color.
    pub(crate) const fn sign(self) -> &'static str {
        match self {
            Self::Before => "",
            Self::NoExport => "○",
            Self::Partial => "◔",
            Self::Provisional => "◑",
            Self::Imported => "●",
            Self::TotalOnly => "Σ",
            Self::Reconciled => "✓",
            Self::Stale => "↻",
        }
    }
}

impl MonthCell {
    /// `October 2026`.
    pub(crate) fn month_long(&self) -> String {
        month_text(self.period)
    }
}

impl MonthStrip {
    /// Short names of the months, for the head of the table.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.months.iter().map(|month| month.first_day().format("%b %y").to_string()).collect()
    }
}

/// The last `count` months up to now.
///
/// # Errors
/// [`PageError::Books`] where the books do not answer.
pub(crate) async fn strip(
    books: &Books,
    now: Timestamp,
    count: usize,
) -> Result<MonthStrip, PageError> {
    let last = BillingPeriod::containing(now);
    let mut months: Vec<BillingPeriod> =
        std::iter::successors(Some(last), |month| Some(month.previous())).take(count).collect();
    months.reverse();
    let first = months.first().copied().unwrap_or(last);
    let days = store::covered_days(books, first.first_day(), last.next().first_day()).await?;
    let reports = store::reports(books, first, last).await?;
    let begun = store::beginnings(books).await?;
    Ok(without_leading_blanks(arrange(months, &days, &reports, now, &begun)))
}

/// Months before anything was seen say nothing; the newest few stay, so that it reads as a strip.
fn without_leading_blanks(mut strip: MonthStrip) -> MonthStrip {
    const KEPT: usize = 3;
    let blank = |at: usize| {
        let cells = strip.lines.iter().filter_map(|line| line.cells.get(at));
        cells.into_iter().all(|cell| cell.state == MonthState::Before)
    };
    let most = strip.months.len().saturating_sub(KEPT);
    let cut = (0..most).take_while(|at| blank(*at)).count();
    strip.months.drain(..cut);
    for line in &mut strip.lines {
        line.cells.drain(..cut.min(line.cells.len()));
    }
    strip
}

fn arrange(
    months: Vec<BillingPeriod>,
    days: &[CoveredDay],
    reports: &[ReportRecord],
    now: Timestamp,
    begun: &[(String, Timestamp)],
) -> MonthStrip {
    let mut accounts: BTreeSet<(String, String)> = days
        .iter()
        .map(|day| (day.provider.clone(), day.account.clone()))
        .chain(reports.iter().map(|report| (report.provider.clone(), report.account.clone())))
        .collect();
    for (provider, _) in begun {
        if !accounts.iter().any(|(known, _)| known == provider) {
            accounts.insert((provider.clone(), String::new()));
        }
    }
    let lines = accounts.into_iter().map(|(provider, account)| {
        let own_days: Vec<&CoveredDay> =
            days.iter().filter(|day| day.provider == provider && day.account == account).collect();
        let own_reports: BTreeMap<BillingPeriod, &ReportRecord> = reports
            .iter()
            .filter(|report| report.provider == provider && report.account == account)
            .map(|report| (report.period, report))
            .collect();
        let cells = months.iter().map(|month| {
            let (mut state, mut text) =
                state_of(*month, &own_days, own_reports.get(month).copied(), now);
            let ours = begun.iter().find(|(known, _)| *known == provider);
            let before = ours.is_none_or(|(_, at)| BillingPeriod::containing(*at) > *month);
            if state == MonthState::NoExport && before {
                (state, text) = (MonthState::Before, "–".to_owned());
            }
            let link = if matches!(state, MonthState::NoExport | MonthState::Before) {
                "/invoices".to_owned()
            } else {
                reconcile_link(&provider, *month, &account)
            };
            let bill = own_reports.get(month).and_then(|report| bill_beside(report));
            MonthCell { period: *month, state, text, bill, link }
        });
        MonthLine { cells: cells.collect(), provider, account }
    });
    MonthStrip { lines: lines.collect(), months }
}

/// The address of a month's reconciliation.
pub(crate) fn reconcile_link(provider: &str, month: BillingPeriod, account: &str) -> String {
    use crate::dashboard::view::encode_text;
    let provider = encode_text(provider);
    if account.is_empty() {
        format!("/reconcile/{provider}/{month}")
    } else {
        format!("/reconcile/{provider}/{month}?account={}", encode_text(account))
    }
}

fn state_of(
    month: BillingPeriod,
    days: &[&CoveredDay],
    report: Option<&ReportRecord>,
    now: Timestamp,
) -> (MonthState, String) {
    let inside: Vec<&&CoveredDay> =
        days.iter().filter(|day| BillingPeriod::of_date(day.day) == month).collect();
    let billed: BTreeSet<_> =
        inside.iter().filter(|day| day.format.contains("cost")).map(|day| day.day).collect();
    let newest = inside.iter().map(|day| day.sealed_at).max();
    if let Some(report) = report {
        if let Some(why) = late_data(report, newest) {
            return (MonthState::Stale, format!("stale: {why}"));
        }
        let (state, said) = reported(report);
        let closed = if report.closing.is_some() { "; closed" } else { "" };
        return (state, said + closed);
    }
    let all = month.days().count();
    let (Some(first), Some(last)) = (billed.first(), billed.last()) else {
        return (MonthState::NoExport, "no export".to_owned());
    };
    if billed.len() < all {
        let span = if last.signed_duration_since(*first).num_days() + 1
            == i64::try_from(billed.len()).unwrap_or(0)
        {
            format!("{}–{}", first.format("%-d"), last.format("%-d"))
        } else {
            format!("{} days", billed.len())
        };
        return (MonthState::Partial, format!("partial ({span} of {all})"));
    }
    if now < month.span().end.plus_micros(SETTLING_HOURS * HOUR_US) {
        return (MonthState::Provisional, "provisional: newest 72 h may move".to_owned());
    }
    (MonthState::Imported, "imported, not compared yet".to_owned())
}

/// Why the newest report, or a person's word on it, no longer speaks of everything there is;
/// `newest_import` is when the last export of the month was sealed.
pub(crate) fn late_data(
    report: &ReportRecord,
    newest_import: Option<Timestamp>,
) -> Option<&'static str> {
    if newest_import.is_some_and(|sealed| sealed > report.made_at) {
        return Some("an export came in after the comparison");
    }
    let closed_otherwise =
        report.closing.as_ref().is_some_and(|closing| closing.inputs_hash != report.inputs_hash);
    closed_otherwise.then_some("data came in after it was closed")
}

/// What the engine's newest word on a month comes to.
fn reported(report: &ReportRecord) -> (MonthState, String) {
    let state = match report.status.as_str() {
        "no_export" => MonthState::NoExport,
        "partial" => MonthState::Partial,
        "provisional" => MonthState::Provisional,
        "total_only" => MonthState::TotalOnly,
        _ => MonthState::Reconciled,
    };
    let said = serde_json::from_str::<Report>(&report.body).map(|body| body.verdict.state);
    (state, said.unwrap_or_else(|_| report.status.replace('_', " ")))
}

/// How a compared month's bill stands to what was recorded.
fn bill_beside(report: &ReportRecord) -> Option<String> {
    let body = serde_json::from_str::<Report>(&report.body).ok()?;
    if body.difference.is_zero() {
        return Some("bill as recorded".to_owned());
    }
    Some(format!("bill {}", Figure::new(body.difference, body.currency).more_or_less()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::reports::Closing;

    fn covered(day: &str, sealed: &str) -> CoveredDay {
        CoveredDay {
            provider: "openai".to_owned(),
            account: "org-1".to_owned(),
            format: "openai_cost".to_owned(),
            day: day.parse().unwrap(),
            sealed_at: sealed.parse().unwrap(),
        }
    }

    fn state(days: &[CoveredDay], report: Option<&ReportRecord>, now: &str) -> String {
        let days: Vec<&CoveredDay> = days.iter().collect();
        state_of("2026-10".parse().unwrap(), &days, report, now.parse().unwrap()).1
    }

    #[test]
    fn a_month_says_how_much_of_it_is_spoken_for() {
        assert_eq!(state(&[], None, "2026-11-10T00:00:00Z"), "no export");
        let sealed = "2026-11-02T00:00:00Z";
        let some: Vec<CoveredDay> =
            (1..=20).map(|day| covered(&format!("2026-10-{day:02}"), sealed)).collect();
        assert_eq!(state(&some, None, "2026-11-10T00:00:00Z"), "partial (1–20 of 31)");
        let all: Vec<CoveredDay> =
            (1..=31).map(|day| covered(&format!("2026-10-{day:02}"), sealed)).collect();
        assert!(state(&all, None, "2026-11-02T00:00:00Z").starts_with("provisional"));
        assert!(state(&all, None, "2026-11-10T00:00:00Z").starts_with("imported"));
    }

    fn report() -> ReportRecord {
        ReportRecord {
            report: "r".to_owned(),
            made_at: "2026-11-03T00:00:00Z".parse().unwrap(),
            provider: "openai".to_owned(),
            account: "org-1".to_owned(),
            period: "2026-10".parse().unwrap(),
            inputs_hash: "as compared".to_owned(),
            status: "reconciled".to_owned(),
            body: "{}".to_owned(),
            closing: None,
        }
    }

    #[test]
    fn an_export_after_the_report_makes_it_stale() {
        let late = [covered("2026-10-31", "2026-11-04T00:00:00Z")];
        assert!(state(&late, Some(&report()), "2026-11-10T00:00:00Z").starts_with("stale"));
    }

    #[test]
    fn a_closed_month_is_stale_once_its_newest_report_is_another() {
        let closed_on = |inputs_hash: &str| ReportRecord {
            closing: Some(Closing {
                closed_at: "2026-11-04T00:00:00Z".parse().unwrap(),
                actor: "Ada".to_owned(),
                report: "q".to_owned(),
                inputs_hash: inputs_hash.to_owned(),
                note: String::new(),
            }),
            ..report()
        };
        let now = "2026-11-10T00:00:00Z";
        assert_eq!(state(&[], Some(&closed_on("as compared")), now), "reconciled; closed");
        let stale = state(&[], Some(&closed_on("as it was")), now);
        assert_eq!(stale, "stale: data came in after it was closed");
    }
}
