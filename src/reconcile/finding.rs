//! A finding: one named cause, its money, its quantities, how sure it is and whose move it is.

use std::borrow::Cow;
use std::fmt;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::meter::Meter;
use crate::names::AttemptId;

/// A step of the bridge, in the published order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Attempts moved to the provider's period and basis.
    Timing,
    /// Names mapped as billed.
    Identity,
    /// Traffic that is on one side only.
    Population,
    /// Tokens moved between classes or tiers.
    Class,
    /// Quantities set to the billed ones.
    Quantity,
    /// The book price replaced by the billed amount.
    Price,
    /// Differences below the last printed digit.
    Rounding,
    /// Fees, tax, credits, adjustments.
    NonUsage,
    /// Currency.
    Currency,
}

macro_rules! causes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $step:ident, $mover:ident, $title:literal;)*) => {
        /// Why a bill differs from the books.
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(rename_all = "snake_case")]
        pub enum Cause { $($(#[$doc])* $name,)* }

        impl Cause {
            /// Every cause, in the order they are tested and booked.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The name in JSON and addresses.
            pub(crate) const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// The step of the bridge it is booked in.
            pub const fn step(self) -> Step {
                match self { $(Self::$name => Step::$step,)* }
            }

            /// Whose move it usually is.
            pub(crate) const fn mover(self) -> Mover {
                match self { $(Self::$name => Mover::$mover,)* }
            }

            /// A few words for a heading.
            pub(crate) const fn title(self) -> &'static str {
                match self { $(Self::$name => $title,)* }
            }
        }
    };
}

causes! {
    /// Attempts of this month that the provider bills in another.
    TimingOut = "timing_out", Timing, Nobody, "billed in another period";
    /// Attempts of another month that the provider bills in this one.
    TimingIn = "timing_in", Timing, Nobody, "recorded in another period";
    /// Attempts moved between days of the month; money nets to nothing.
    TimingWithin = "timing_within", Timing, Nobody, "billed on another day of the month";
    /// The bill names another model for the same tokens.
    Alias = "alias", Identity, FixOurs, "billed under another model";
    /// Days before these books began.
    BeforeBooks = "before_books", Population, Nobody, "before our books began";
    /// Traffic of a key, project or workspace that does not pass here.
    Unlogged = "unlogged", Population, FixOurs, "traffic that did not pass through here";
    /// A fee that stands in no answer's usage: nothing that passes here shows it.
    UnseenFee = "unseen_fee", Population, Nobody, "fees that no answer reports";
    /// Traffic in a span in which the books had a gap.
    WhileDown = "while_down", Population, FixOurs, "traffic while our books had a gap";
    /// The provider did not bill attempts answered with 5xx.
    UnbilledProviderError = "unbilled_upstream_5xx", Population, FixOurs, "provider errors it did not bill";
    /// The provider did not bill attempts answered with 4xx.
    UnbilledRequestRefused = "unbilled_upstream_4xx", Population, FixOurs, "refused requests it did not bill";
    /// The provider did not bill attempts that timed out.
    UnbilledTimeout = "unbilled_timeout", Population, FixOurs, "timeouts it did not bill";
    /// The provider did not bill attempts abandoned before the first token.
    UnbilledClientGone = "unbilled_client_gone", Population, FixOurs, "abandoned requests it did not bill";
    /// The provider did not bill answers cut short.
    UnbilledCutShort = "unbilled_cut_short", Population, FixOurs, "answers cut short it did not bill";
    /// The provider did not bill a hedge that lost.
    UnbilledHedgeLost = "unbilled_hedge_lost", Population, FixOurs, "lost hedges it did not bill";
    /// The provider did not bill a filtered answer.
    UnbilledContentFilter = "unbilled_content_filter", Population, FixOurs, "filtered answers it did not bill";
    /// Our own cache answered, and our books charged it.
    UnbilledCacheHit = "unbilled_cache_hit", Population, FixOurs, "answers from our cache we charged";
    /// Our books hold one provider call twice.
    DuplicateAttempt = "duplicate_attempt", Population, FixOurs, "one call twice in our books";
    /// An attempt our books hold as not billed is on the bill.
    BilledAfterAll = "billed_after_all", Population, FixOurs, "billed, though we held it as not billed";
    /// One side counts a subset twice.
    DoubleCount = "double_count", Class, FixOurs, "a part counted twice";
    /// Same tokens, another service tier or batch.
    Tier = "tier", Class, FixOurs, "billed at another service tier";
    /// Same tokens, another context band.
    ContextBand = "context_band", Class, FixOurs, "billed in another context band";
    /// Same tokens, another region.
    Geography = "geography", Class, FixOurs, "billed for another region";
    /// Same tokens, another speed.
    Speed = "speed", Class, FixOurs, "billed at another speed";
    /// Same tokens, another cache class.
    CacheClass = "cache_class", Class, AskProvider, "cached tokens billed in another class";
    /// Our estimate was off.
    EstimateTrueUp = "estimate_true_up", Quantity, Nobody, "our estimates trued up";
    /// Attempts of unknown usage that were billed.
    AbortedBilled = "aborted_billed", Quantity, Nobody, "attempts of unknown usage, billed";
    /// More or fewer units than we recorded, and no test says why.
    QuantityUnexplained = "quantity_unexplained", Quantity, AskProvider, "other quantities than recorded";
    /// Billed at another version of the price.
    PriceVersion = "price_version", Price, AskProvider, "billed at another price of the table";
    /// Billed at another price from one day on.
    PriceChangeDate = "price_change_date", Price, AskProvider, "the price changed on another day";
    /// Billed at the price of other conditions.
    PriceConditions = "price_conditions", Price, AskProvider, "billed at the price of other conditions";
    /// One ratio on all lines.
    Discount = "discount", Price, Nobody, "a discount";
    /// Our books hold no price.
    Unpriced = "unpriced", Price, FixOurs, "no price in our table";
    /// Another amount than price times quantity, and no test says why.
    PriceUnexplained = "price_unexplained", Price, AskProvider, "another price than the table's";
    /// The export is too coarse to tell.
    NotResolvable = "not_resolvable", Price, FixOurs, "this export is too coarse to tell";
    /// Below the last digit printed.
    Rounding = "rounding", Rounding, Nobody, "rounding";
    /// A fee, a minimum, a purchase.
    Fee = "fee", NonUsage, Nobody, "fees and purchases";
    /// Tax.
    Tax = "tax", NonUsage, Nobody, "tax";
    /// A credit or grant.
    Credit = "credit", NonUsage, Nobody, "credits";
    /// A correction or refund inside the period.
    Adjustment = "adjustment", NonUsage, AskProvider, "adjustments";
    /// A correction of an earlier period.
    Correction = "correction", NonUsage, Nobody, "corrections of an earlier period";
    /// Money for a product that maps to no meter of ours.
    UnmappedMoney = "unmapped_money", NonUsage, FixOurs, "billed products we do not meter";
    /// Currency conversion.
    Exchange = "fx", Currency, Nobody, "currency conversion";
}

/// How sure a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// An equality (or interval) that no other tested hypothesis satisfies.
    Proven,
    /// Inside its bounds, but not alone there.
    Consistent,
    /// Follows from a setting or an input, not from the figures.
    Assumed,
    /// No test explains it.
    Unexplained,
}

/// Whose move it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mover {
    /// Ask the provider.
    AskProvider,
    /// Fix ours.
    FixOurs,
    /// Nobody's: as agreed, timing, rounding, face value; `Cause::why_nobody` says which.
    Nobody,
}

/// The finest key the lines behind a finding allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Level {
    /// Day, key, model and meter.
    L1,
    /// Day, model and meter.
    L2,
    /// Month, model and meter.
    L3,
    /// Model, no meter.
    L4,
    /// One total.
    L5,
}

/// One named cause with its money.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable within a report: cause and subject.
    pub id: String,
    /// The step it is booked in.
    pub step: Step,
    /// Why.
    pub cause: Cause,
    /// The cause in a few words.
    pub title: Cow<'static, str>,
    /// What it is about: a model, a key, a line's description.
    pub subject: String,
    /// What it adds to our total, in the books' currency; positive: the bill shows more.
    #[serde(with = "rust_decimal::serde::str")]
    pub amount: Decimal,
    /// The same by model and meter; adds up to `amount`.
    pub parts: Vec<Part>,
    /// How fine the lines behind it are.
    pub level: Level,
    /// How sure it is.
    pub confidence: Confidence,
    /// The confidence in words, with the alternatives.
    pub confidence_words: String,
    /// Whose move it is.
    pub mover: Mover,
    /// What shows it, a sentence each.
    pub evidence: Vec<String>,
    /// Other hypotheses that fit as well.
    pub alternatives: Vec<String>,
    /// How to find the requests and rows behind it.
    pub drill: DrillDown,
}

/// What a finding comes to for one model and meter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The model as matched; empty where the line names none.
    pub model: String,
    /// The meter, where the line names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meter: Option<Meter>,
    /// Units the bill shows more (or, negative, less), in the meter's atoms.
    pub quantity: i128,
    /// Money of the part.
    #[serde(with = "rust_decimal::serde::str")]
    pub amount: Decimal,
}

/// The way from a finding to what is behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrillDown {
    /// First and last provider day touched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub days: Option<(NaiveDate, NaiveDate)>,
    /// Models touched, as matched.
    pub models: Vec<String>,
    /// Owners touched: keys, projects, workspaces as the report names them.
    pub owners: Vec<String>,
    /// In words, which attempts.
    pub which: String,
    /// How many attempts.
    pub attempt_count: u64,
    /// The first of them by id; all of them by `engine::attempts_behind`.
    pub attempts: Vec<AttemptId>,
    /// How many rows of the bill.
    pub row_count: u64,
    /// The first of them.
    pub rows: Vec<RowRef>,
}

/// A row of an imported file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RowRef {
    /// The batch.
    pub batch: String,
    /// The data row, from 1.
    pub row: u64,
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl Step {
    /// Every step in the published order.
    pub const ALL: &[Self] = &[
        Self::Timing,
        Self::Identity,
        Self::Population,
        Self::Class,
        Self::Quantity,
        Self::Price,
        Self::Rounding,
        Self::NonUsage,
        Self::Currency,
    ];

    /// A few words for a row of the bridge.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Timing => "Timing",
            Self::Identity => "Names",
            Self::Population => "Traffic on one side only",
            Self::Class => "Class and tier",
            Self::Quantity => "Quantities",
            Self::Price => "Prices",
            Self::Rounding => "Rounding",
            Self::NonUsage => "Fees, tax, credits",
            Self::Currency => "Currency",
        }
    }
}

impl Confidence {
    /// The confidence as a page says it.
    pub(crate) fn words(self, alternatives: &[String]) -> String {
        match (self, alternatives) {
            (Self::Proven, _) => "proven".to_owned(),
            (Self::Consistent, []) => "fits, but is not proven".to_owned(),
            (Self::Consistent, list) => format!("fits, but so would {}", list.join("; ")),
            (Self::Assumed, _) => "assumed by your setting".to_owned(),
            (Self::Unexplained, _) => "not explained".to_owned(),
        }
    }
}

impl Cause {
    /// Why it is nobody's move, where it is nobody's.
    pub(crate) const fn why_nobody(self) -> &'static str {
        match self {
            Self::Discount => "as agreed",
            Self::Fee | Self::Tax | Self::Credit | Self::Correction => "as the bill prints it",
            Self::BeforeBooks => "before our books began",
            Self::Unlogged => "marked as known",
            Self::EstimateTrueUp | Self::AbortedBilled => "usage we could only estimate",
            Self::UnseenFee => "no answer reports it",
            Self::Exchange => "the rate of exchange",
            _ => "timing or rounding",
        }
    }
}

impl Finding {
    /// Whether it can be sent to the provider as a claim: proven, and the provider's to answer.
    pub fn is_claim(&self) -> bool {
        self.confidence == Confidence::Proven && self.mover == Mover::AskProvider
    }

    /// Whose move, and where it is nobody's, why.
    pub(crate) fn move_words(&self) -> String {
        match self.mover {
            Mover::Nobody => format!("{}: {}", self.mover.words(), self.cause.why_nobody()),
            Mover::AskProvider | Mover::FixOurs => self.mover.words().to_owned(),
        }
    }
}

impl Mover {
    /// Whose move, as a page says it.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::AskProvider => "ask the provider",
            Self::FixOurs => "fix ours",
            Self::Nobody => "nobody",
        }
    }
}
