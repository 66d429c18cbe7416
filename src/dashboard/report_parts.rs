//! The parts of a report as its page shows them: sentences, coverage, bridge, findings, tokens.

use rust_decimal::Decimal;
use serde::Serialize;

use crate::dashboard::beside::{Beside, beside};
use crate::dashboard::chart::{self, Span};
use crate::dashboard::format::{self, Figure};
use crate::dashboard::page::PageError;
use crate::dashboard::view::encode_text;
use crate::money::exact_add;
use crate::reconcile::finding::{Confidence, Finding, Mover, RowRef};
use crate::reconcile::report::{Compared, Report};
use crate::reconcile::verdict::Action;

/// A piece of a sentence.
pub(crate) struct Phrase {
    pub(crate) strong: bool,
    pub(crate) text: String,
}

pub(crate) struct ToDo {
    pub(crate) mover: String,
    pub(crate) words: String,
    pub(crate) anchor: String,
}

pub(crate) struct CoverageLine {
    pub(crate) name: &'static str,
    pub(crate) amount: Figure,
    pub(crate) share: String,
    pub(crate) span: Span,
}

pub(crate) struct BridgeLine {
    pub(crate) title: String,
    pub(crate) amount: String,
    pub(crate) exact: String,
    pub(crate) balance: Figure,
    pub(crate) span: Span,
    pub(crate) kind: &'static str,
    pub(crate) findings: Vec<NamedPart>,
}

/// A finding of a step: where it stands on the page, what it is called and moves.
pub(crate) struct NamedPart {
    pub(crate) anchor: String,
    pub(crate) said: String,
    pub(crate) amount: String,
}

pub(crate) struct FindingView {
    pub(crate) anchor: String,
    pub(crate) title: String,
    pub(crate) subject: String,
    pub(crate) amount: String,
    pub(crate) exact: String,
    pub(crate) exact_words: String,
    pub(crate) confidence: String,
    pub(crate) confidence_words: String,
    pub(crate) mover: String,
    pub(crate) parts: Vec<PartView>,
    pub(crate) evidence: Vec<String>,
    pub(crate) which: String,
    pub(crate) attempts: String,
    pub(crate) sample: Vec<String>,
    pub(crate) requests: Option<String>,
    pub(crate) all: String,
    pub(crate) rows: String,
    pub(crate) row_count: u64,
    pub(crate) days: String,
}

pub(crate) struct PartView {
    pub(crate) model: String,
    pub(crate) meter: String,
    pub(crate) quantity: String,
    pub(crate) amount: String,
    pub(crate) exact: String,
    pub(crate) exact_words: String,
}

#[derive(Serialize)]
pub(crate) struct ComparedView {
    pub(crate) model: String,
    pub(crate) side: &'static str,
    #[serde(flatten)]
    pub(crate) beside: Beside,
    #[serde(skip)]
    pub(crate) counted: String,
    #[serde(skip)]
    pub(crate) reported_of_counted: String,
    #[serde(skip)]
    pub(crate) reported: String,
    #[serde(skip)]
    pub(crate) billed: String,
}

pub(crate) fn phrases(sentence: &str) -> Vec<Phrase> {
    let pieces = sentence.split("**").enumerate();
    pieces
        .filter(|(_, text)| !text.is_empty())
        .map(|(index, text)| Phrase { strong: index % 2 == 1, text: text.to_owned() })
        .collect()
}

pub(crate) fn to_do(action: &Action) -> ToDo {
    ToDo {
        mover: move_words(action.mover).to_owned(),
        words: format::plain_instants(&action.words),
        anchor: anchor(&action.finding),
    }
}

const fn move_words(mover: Mover) -> &'static str {
    match mover {
        Mover::AskProvider => "Ask the provider",
        Mover::FixOurs => "Fix ours",
        Mover::Nobody => "Nobody",
    }
}

/// The attempts a finding names itself, as text.
pub(crate) fn sample_of(finding: &Finding) -> Vec<String> {
    finding.drill.attempts.iter().map(ToString::to_string).collect()
}

pub(crate) fn anchor(finding: &str) -> String {
    let plain = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    format!("finding-{}", finding.chars().map(plain).collect::<String>())
}

pub(crate) fn coverage(body: &Report) -> Vec<CoverageLine> {
    let parts = [
        ("passed through here", body.coverage.seen),
        ("before our books began", body.coverage.before_books),
        ("while we were down", body.coverage.while_down),
        ("other key, project or workspace", body.coverage.elsewhere),
        ("not known", body.coverage.unknown),
    ];
    let scaled = |value: Decimal| Figure::new(value, body.currency).pico();
    let whole = scaled(body.coverage.billed_usage);
    let mut run = 0_i128;
    let mut rows = Vec::new();
    for (_, value) in parts {
        rows.push((run, run + scaled(value)));
        run += scaled(value);
    }
    let spans = chart::waterfall(&rows);
    parts
        .into_iter()
        .zip(spans)
        .filter(|((_, value), _)| !value.is_zero())
        .map(|((name, value), span)| CoverageLine {
            name,
            amount: Figure::new(value, body.currency),
            share: format::percent(scaled(value).unsigned_abs(), whole.unsigned_abs()),
            span,
        })
        .collect()
}

/// The steps that move something, named parts first, what has no cause last; exact or refused.
pub(crate) fn bridge(body: &Report) -> Result<Vec<BridgeLine>, PageError> {
    let add = |left: Decimal, right: Decimal| {
        exact_add(left, right).ok_or_else(|| {
            PageError::Twin("the bridge has more digits than can be added exactly".to_owned())
        })
    };
    let mut steps: Vec<(String, Decimal, Vec<NamedPart>)> = Vec::new();
    for step in &body.bridge {
        let own = |finding: &&Finding| {
            finding.step == step.step && finding.confidence != Confidence::Unexplained
        };
        let mut amount = Decimal::ZERO;
        let mut names = Vec::new();
        for finding in body.findings.iter().filter(own) {
            amount = add(amount, finding.amount)?;
            let said = format::plain_instants(&format!("{}: {}", finding.subject, finding.title));
            let amount = Figure::new(finding.amount, body.currency).more_or_less();
            names.push(NamedPart { anchor: anchor(&finding.id), said, amount });
        }
        if !names.is_empty() {
            steps.push((step.title.to_string(), amount, names));
        }
    }
    steps.push(("Not explained".to_owned(), body.unexplained, Vec::new()));
    let mut balance = body.recorded;
    let mut rows =
        vec![("We recorded, at list price".to_owned(), None, balance, balance, Vec::new())];
    for (title, amount, names) in steps {
        let before = balance;
        balance = add(balance, amount)?;
        rows.push((title, Some(amount), before, balance, names));
    }
    if balance != body.billed {
        return Err(PageError::Twin(format!(
            "the parts of the stored report come to {balance}, its total is {}: not shown",
            body.billed
        )));
    }
    rows.push(("The export shows".to_owned(), None, balance, balance, Vec::new()));
    let scaled = |value: Decimal| Figure::new(value, body.currency).pico();
    let ends: Vec<(i128, i128)> =
        rows.iter().map(|(_, _, from, to, _)| (scaled(*from), scaled(*to))).collect();
    let spans = chart::waterfall(&whole_from_zero(ends));
    let lines = rows.into_iter().zip(spans).map(|((title, amount, _, balance, findings), span)| {
        let moved = amount.map(|amount| Figure::new(amount, body.currency));
        let figure = Figure::new(balance, body.currency);
        BridgeLine {
            kind: match (amount, title.as_str()) {
                (None, _) => "total",
                (Some(_), "Not explained") => "unexplained",
                (Some(amount), _) if amount < Decimal::ZERO => "less",
                _ => "more",
            },
            amount: moved.map_or_else(|| figure.cents_text(), |moved| moved.more_or_less()),
            exact: moved.unwrap_or(figure).exact(),
            title,
            balance: figure,
            span,
            findings,
        }
    });
    Ok(lines.collect())
}

/// Totals are drawn from just below the smallest balance, so that steps are seen beside them.
pub(crate) fn whole_from_zero(mut ends: Vec<(i128, i128)>) -> Vec<(i128, i128)> {
    let low = ends.iter().flat_map(|(from, to)| [*from, *to]).min().unwrap_or(0);
    let high = ends.iter().flat_map(|(from, to)| [*from, *to]).max().unwrap_or(0);
    let foot = (low - (high - low) / 4).max(0).min(low);
    let last = ends.len().saturating_sub(1);
    for index in [0, last] {
        if let Some(end) = ends.get_mut(index) {
            end.0 = foot;
        }
    }
    ends
}

pub(crate) fn document(body: &Report) -> Vec<(String, Figure)> {
    let Some(document) = &body.document else { return Vec::new() };
    let figure = |value: Decimal| Figure::new(value, document.currency);
    vec![
        ("The export".to_owned(), figure(document.export)),
        ("Credits taken off".to_owned(), figure(document.credits)),
        ("Tax added".to_owned(), figure(document.tax)),
        ("Rounding of the document".to_owned(), figure(document.rounding)),
        ("Named by neither".to_owned(), figure(document.unexplained)),
        ("The document, to be paid".to_owned(), figure(document.total)),
    ]
}

pub(crate) fn finding_view(
    finding: &Finding,
    figure: &impl Fn(Decimal) -> Figure,
    all: &str,
) -> FindingView {
    let drill = &finding.drill;
    let days = drill.days.map(|(first, last)| {
        if first == last { format!("{first} (UTC)") } else { format!("{first} to {last} (UTC)") }
    });
    FindingView {
        anchor: anchor(&finding.id),
        title: finding.title.to_string(),
        subject: format::plain_instants(&finding.subject),
        amount: figure(finding.amount).more_or_less(),
        exact: figure(finding.amount).exact(),
        exact_words: figure(finding.amount).exact_more_or_less(),
        confidence: format::name_of(&finding.confidence),
        confidence_words: finding.confidence_words.clone(),
        mover: match finding.mover {
            Mover::Nobody => format!("Nobody: {}", finding.cause.why_nobody()),
            mover => move_words(mover).to_owned(),
        },
        parts: finding
            .parts
            .iter()
            .filter(|part| part.quantity != 0 || !part.amount.is_zero())
            .map(|part| PartView {
                model: part.model.clone(),
                meter: part.meter.map(|meter| meter.to_string()).unwrap_or_default(),
                quantity: match part.quantity {
                    // Of rows nothing of ours stands beside, money alone was printed.
                    0 if drill.attempt_count == 0 => "not printed".to_owned(),
                    0 => "the same".to_owned(),
                    n if n > 0 => format!("{} more", format::grouped(n.unsigned_abs())),
                    n => format!("{} less", format::grouped(n.unsigned_abs())),
                },
                amount: figure(part.amount).more_or_less(),
                exact: figure(part.amount).exact(),
                exact_words: figure(part.amount).exact_more_or_less(),
            })
            .collect(),
        evidence: finding.evidence.iter().map(|line| format::sentence(line)).collect(),
        which: drill.which.clone(),
        attempts: format::count(drill.attempt_count),
        sample: sample_of(finding),
        requests: (drill.attempt_count > 0).then(|| requests_link(finding)).flatten(),
        all: all.to_owned(),
        rows: row_text(&drill.rows, drill.row_count),
        row_count: drill.row_count,
        days: days.unwrap_or_default(),
    }
}

/// The requests of the finding's days, and of its model where it is one.
pub(crate) fn requests_link(finding: &Finding) -> Option<String> {
    let (first, last) = finding.drill.days?;
    let mut link = format!("/requests?from={first}&to={last}");
    if let [model] = finding.drill.models.as_slice() {
        link.push_str("&model=");
        link.push_str(&encode_text(model));
    }
    Some(link)
}

pub(crate) fn row_text(rows: &[RowRef], count: u64) -> String {
    let shown: Vec<String> = rows.iter().map(|row| row.row.to_string()).collect();
    let more = count.saturating_sub(u64::try_from(rows.len()).unwrap_or(0));
    if more == 0 {
        shown.join(", ")
    } else {
        format!("{} and {} more", shown.join(", "), format::count(more))
    }
}

pub(crate) fn compared(body: &Compared) -> [ComparedView; 2] {
    let none = || "not printed".to_owned();
    let counted = |n: u64| {
        if body.counted_attempts == 0 { "not counted".to_owned() } else { format::count(n) }
    };
    let ratio = |reported: u64, tokens: u64| {
        let is_counted = body.counted_attempts > 0;
        beside(&body.model, is_counted.then_some(reported), is_counted.then_some(tokens))
    };
    [
        ComparedView {
            model: body.model.clone(),
            side: "input",
            beside: ratio(body.reported_input_of_counted, body.counted_input),
            counted: counted(body.counted_input),
            reported_of_counted: counted(body.reported_input_of_counted),
            reported: format::count(body.reported_input),
            billed: body.billed_input.map_or_else(none, format::count),
        },
        ComparedView {
            model: body.model.clone(),
            side: "output",
            beside: ratio(body.reported_output_of_counted, body.counted_output),
            counted: counted(body.counted_output),
            reported_of_counted: counted(body.reported_output_of_counted),
            reported: format::count(body.reported_output),
            billed: body.billed_output.map_or_else(none, format::count),
        },
    ]
}

pub(crate) fn left_out(body: &Report) -> Vec<(String, String)> {
    let reasons = body.population.attempts_left_out.iter();
    reasons
        .map(|(reason, n)| (format::words(&format::name_of(reason)), format::count(*n)))
        .collect()
}

/// Findings with the most money first; those of one size keep the order of the bridge.
pub(crate) fn largest_first<'a>(
    findings: impl IntoIterator<Item = &'a Finding>,
) -> Vec<&'a Finding> {
    let mut sorted: Vec<&Finding> = findings.into_iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.amount.abs()));
    sorted
}
