//! A finished report in plain words: what the bill says, what explains it, and what to do.

use rust_decimal::Decimal;

use crate::money::{Currency, exact_add};
use crate::period::{BillingPeriod, ChargePeriod, DAY_US};
use crate::reconcile::facts::ImportFact;
use crate::reconcile::finding::{Cause, Confidence, Finding, Mover};
use crate::reconcile::matching::Matched;
use crate::reconcile::report::Report;
use crate::reconcile::verdict::{Action, MonthState, Verdict};
use crate::reconcile::words::money;

/// The state a finished comparison is in.
pub(crate) fn state(matched: &Matched<'_>, report: &Report) -> MonthState {
    if matched.inputs.money_exports().next().is_none() {
        return MonthState::NoExport;
    }
    let (covered, days) = matched.sheet.slots.covered_days();
    let count = u32::try_from(covered.len()).unwrap_or(u32::MAX);
    if let (Some(first), Some(last)) = (covered.first(), covered.last())
        && count < days
    {
        return MonthState::Partial { first: *first, last: *last, covered: count, days };
    }
    if matched.sheet.grain.missing().is_some() && report.population.billed_rows > 0 {
        return MonthState::TotalOnly;
    }
    let end = report.period.span().end;
    // A part of the month settles 72 hours after the last day it speaks for.
    let is_early = |import: &ImportFact| {
        let last = import.covered_days.iter().max().map(|day| ChargePeriod::of_day(*day).end);
        let settles_at = last.map_or(end, |last| last.min(end)).plus_micros(3 * DAY_US);
        import.imported_at.is_some_and(|imported| imported < settles_at)
    };
    if matched.inputs.imports.iter().any(is_early) {
        return MonthState::Provisional;
    }
    MonthState::Reconciled
}

/// Puts a report into words.
pub(crate) fn of(matched: &Matched<'_>, report: &Report) -> Verdict {
    let provider = provider_words(report.provider.as_str());
    let month = month_words(report.period);
    let say = |amount: Decimal| money(amount, report.currency);
    let state = report.state.words(&say(report.unexplained));
    let sentences = if report.state == MonthState::NoExport {
        vec![match matched.inputs.imports.is_empty() {
            true => {
                format!("There is no export of {provider} for {month} yet: nothing to compare.")
            }
            false => format!(
                "There is no cost export of {provider} for {month} yet: the quantities alone say \
                 nothing of money, so there is nothing to compare."
            ),
        }]
    } else if matched.in_cells == 0 && matched.unknown.is_empty() {
        vec![
            format!("Nothing to compare: no {provider} request in the books."),
            format!("{provider}'s export for {month} (UTC) shows {}.", say(report.billed)),
        ]
    } else {
        let two = [first_sentence(report, &provider, &month, &state), second_sentence(report)];
        let more = [exchange_sentence(report), document_sentence(report)];
        two.into_iter().chain(more.into_iter().flatten()).collect()
    };
    Verdict { state, sentences, to_do: to_do(report) }
}

fn first_sentence(report: &Report, provider: &str, month: &str, state: &str) -> String {
    let say = |amount: Decimal| money(amount, report.currency);
    let covered = match report.state {
        MonthState::Partial { .. } => format!(", {state},"),
        _ => String::new(),
    };
    let against = match report.difference {
        zero if zero.is_zero() => "the two totals **are equal**".to_owned(),
        more if more > Decimal::ZERO => {
            format!("it shows **{} more than we recorded**", say(more))
        }
        less => format!("it shows **{} less than we recorded**", say(less.abs())),
    };
    format!(
        "{provider}'s export for {month} (UTC){covered} shows {}; the requests we saw come to {} \
         at list prices, so {against}.",
        say(report.billed),
        say(report.recorded)
    )
}

fn second_sentence(report: &Report) -> String {
    let say = |amount: Decimal| signed(amount, report.currency);
    if report.agrees && report.difference.is_zero() {
        return "Every line agrees with the requests behind it, to the last digit.".to_owned();
    }
    let mut causes: Vec<(Cause, &str, Decimal)> = Vec::new();
    let (mut gross, mut any) = (Decimal::ZERO, false);
    for one in report.findings.iter().filter(|one| one.confidence != Confidence::Unexplained) {
        (gross, any) = (sum_of(gross, one.amount.abs()), true);
        match causes.iter_mut().find(|(cause, ..)| *cause == one.cause) {
            Some((.., sum)) => *sum = sum_of(*sum, one.amount),
            None => causes.push((one.cause, &one.title, one.amount)),
        }
    }
    let mostly = causes.into_iter().filter(|(.., sum)| !sum.is_zero());
    let mostly = mostly
        .max_by_key(|(.., sum)| sum.abs())
        .map_or_else(String::new, |(_, title, sum)| format!(", mostly {title} ({})", say(sum)));
    let open = if report.unexplained_gross.is_zero() {
        "**nothing is left unexplained**".to_owned()
    } else if report.unexplained.is_zero() {
        let gross = money(report.unexplained_gross, report.currency);
        format!("**{gross} of more and less that cancel out has none**")
    } else {
        format!("**{} has none**", say(report.unexplained))
    };
    match (report.difference.is_zero(), gross.is_zero()) {
        (false, _) if any => {
            format!("{} of that has a named cause{mostly}; {open}.", say(report.named))
        }
        (false, _) => format!("None of that has a named cause; {open}."),
        (true, false) => format!(
            "Yet {} of more and less that cancel out has a named cause{mostly}; {open}.",
            say(gross)
        ),
        (true, true) if any => format!("What differs beside the money is named below; {open}."),
        (true, true) => format!("Yet not every line agrees; {open}."),
    }
}

/// A sum for a sentence; the report's own sums failed before where one cannot be kept exactly.
fn sum_of(sum: Decimal, amount: Decimal) -> Decimal {
    exact_add(sum, amount).unwrap_or(sum)
}

/// The rate a bill in another currency was taken at.
fn exchange_sentence(report: &Report) -> Option<String> {
    let exchange = report.exchange.as_ref()?;
    Some(format!(
        "The bill is in {}; every amount of it is shown in {} here, where {}.",
        exchange.from,
        exchange.into,
        exchange.words()
    ))
}

/// From the export to the document, where its totals were given.
fn document_sentence(report: &Report) -> Option<String> {
    let document = report.document.as_ref()?;
    let say = |amount: Decimal| money(amount, document.currency);
    let mut words = format!(
        "The document asks for {}: the export's {}",
        say(document.total),
        say(document.export)
    );
    if !document.credits.is_zero() {
        words.push_str(&format!(", less {} of credits", say(document.credits.abs())));
    }
    if !document.tax.is_zero() {
        words.push_str(&format!(", plus {} of tax", say(document.tax)));
    }
    if !document.rounding.is_zero() {
        words.push_str(", rounded to its last digit");
    }
    let rest = document.unexplained;
    words.push_str(&match rest {
        zero if zero.is_zero() => ".".to_owned(),
        more if more > Decimal::ZERO => format!("; **{} more has no name**.", say(more)),
        less => format!("; **{} less has no name**.", say(less.abs())),
    });
    Some(words)
}

fn to_do(report: &Report) -> Vec<Action> {
    let mut open: Vec<&Finding> =
        report.findings.iter().filter(|one| one.mover != Mover::Nobody).collect();
    open.sort_by_key(|one| std::cmp::Reverse(one.amount.abs()));
    let words = |one: &Finding| {
        let amount = signed(one.amount, report.currency);
        let advice = advice(one);
        format!("{}: {} ({amount}, {}). {advice}", one.subject, one.title, one.confidence_words)
    };
    let action =
        |one: &Finding| Action { mover: one.mover, words: words(one), finding: one.id.clone() };
    open.into_iter().map(action).collect()
}

/// What to do about a cause, in a sentence.
fn advice(finding: &Finding) -> &'static str {
    match finding.cause {
        Cause::Unlogged => {
            "Route this key through the gateway, tie it to a caller or mark it known."
        }
        Cause::Alias => "Add the billed name as an alias of the model.",
        Cause::Unpriced => "Add the price to the table and value these requests again.",
        Cause::UnmappedMoney => "Look the product up; it stays visible until it is mapped.",
        Cause::NotResolvable => "Import a finer export of the same days.",
        Cause::PriceVersion
        | Cause::PriceChangeDate
        | Cause::PriceConditions
        | Cause::PriceUnexplained
        | Cause::Discount => {
            "Compare the provider's price page with the table, then ask the provider."
        }
        Cause::CacheClass | Cause::Tier | Cause::DoubleCount if finding.is_claim() => {
            "The requests' own usage objects show the class; the claim page lists them."
        }
        Cause::CacheClass | Cause::Tier | Cause::DoubleCount => {
            "The requests' own usage objects show the class."
        }
        Cause::QuantityUnexplained => {
            "Look at the days and keys; a usage export by key narrows it down."
        }
        Cause::Adjustment => "Ask the provider what it adjusted, and why.",
        Cause::WhileDown => "Look at why the books have this gap.",
        _ => "Open the requests behind it.",
    }
}

/// Money with "less" said where it is less.
fn signed(amount: Decimal, currency: Currency) -> String {
    let text = money(amount, currency);
    if amount < Decimal::ZERO { format!("{text} less") } else { text }
}

fn provider_words(name: &str) -> String {
    match name {
        "openai" => "OpenAI".to_owned(),
        "anthropic" => "Anthropic".to_owned(),
        other => other.to_owned(),
    }
}

fn month_words(period: BillingPeriod) -> String {
    period.first_day().format("%B %Y").to_string()
}
