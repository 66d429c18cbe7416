//! What can be wrong with a price file, and where in it.

use crate::pricing::price::PriceTextError;
use crate::pricing::schema::SCHEMA;

/// A price file that cannot be used, and where in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}{place}: {problem}")]
pub struct PriceError {
    /// The file as it was named.
    pub file: String,
    /// Model and row, as far as known: ` · gpt-5 · from 2026-01-01T00:00:00Z`.
    pub place: String,
    /// What is wrong.
    pub problem: PriceProblem,
}

/// What can be wrong with a price file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PriceProblem {
    #[error("not a price file: {0}")]
    Form(String),
    #[error("schema {0} is not the one this version reads ({SCHEMA})")]
    Schema(u32),
    #[error("{0:?} is not a three-letter currency code")]
    Currency(String),
    #[error("prices of one provider are in one currency; {0} is already in {1}")]
    SecondCurrency(String, String),
    #[error("{0:?} is not an instant like 2026-10-01T00:00:00Z")]
    Instant(String),
    #[error("the period ends before it begins")]
    EmptyPeriod,
    #[error("the period overlaps another that begins at {0}")]
    Overlap(String),
    #[error("{0:?} is not a meter; see src/meter.rs for the names")]
    Meter(String),
    #[error("{0:?} does not count tokens, so its price belongs under `fees` with its `per`")]
    NotTokens(String),
    #[error("{0:?} counts tokens, so its price belongs under `rates`")]
    Tokens(String),
    #[error("{meter}: {problem}")]
    Price { meter: String, problem: PriceTextError },
    #[error("factor: {0}")]
    Factor(PriceTextError),
    #[error("no price for {0:?}, which the standard row has; give one, or list it as `unknown`")]
    MissingMeter(String),
    #[error("{0:?} is priced and also listed as `unknown` or `included`")]
    Contradiction(String),
    #[error("{0:?} is included in {1:?}, which has no price here")]
    IncludedInNothing(String, String),
    #[error("long-context bands must rise")]
    BandsNotRising,
    #[error("{0:?} is not among the file's [selectors]")]
    Selector(String),
    #[error("{0:?} = {1:?} means nothing special, so nothing can be selected by it")]
    NeutralWord(String, String),
    #[error("an empty `select` is the standard row itself")]
    EmptySelect,
    #[error("a call could meet two rows alike: {0}")]
    Ambiguous(String),
    #[error("{0:?} begins no meter that could be multiplied")]
    Over(String),
    #[error("the name {0:?} already leads to {1:?} in the same period")]
    Name(String, String),
    #[error(
        "{0:?}: a snapshot is a name, or a name and {{date}}, {{yyyymmdd}} or {{tuned}} at its end"
    )]
    Snapshot(String),
    #[error("no source: say where the price stands and the day it was read")]
    NoSource,
    #[error("{0:?} is not a day like 2026-10-01")]
    ReadOn(String),
    #[error("no `price` at all")]
    NoPrice,
}

/// Where in a file the reading stands.
#[derive(Clone, Debug)]
pub(crate) struct Place<'f> {
    file: &'f str,
    trail: String,
}

impl<'f> Place<'f> {
    /// The file itself.
    pub(crate) const fn of(file: &'f str) -> Self {
        Self { file, trail: String::new() }
    }

    /// A model, a row or a name in it.
    pub(crate) fn inside(&self, what: impl std::fmt::Display) -> Self {
        Self { file: self.file, trail: format!("{} · {what}", self.trail) }
    }

    /// What is wrong here.
    pub(crate) fn error(&self, problem: PriceProblem) -> PriceError {
        PriceError { file: self.file.to_owned(), place: self.trail.clone(), problem }
    }
}
