//! What a reconciliation is given: the books, the bill and the price table, all as data.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::NaiveDate;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::invoice::format::ExportFormat;
use crate::invoice::line::{BilledLine, UsageRow};
use crate::meter::Meter;
use crate::money::{Amount, Currency, canonical_text};
use crate::names::{
    AccountId, AttemptId, CredentialId, Endpoint, ModelName, ProviderName, RequestId,
};
use crate::period::{BillingPeriod, ChargePeriod, Timestamp};
use crate::usage::{Conditions, UsageSource};

/// Everything a report is made from. The same inputs, in any order, give the same bytes.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Who bills.
    pub provider: ProviderName,
    /// Whose bill, where the provider has several accounts here.
    pub account: Option<AccountId>,
    /// The UTC month under comparison.
    pub period: BillingPeriod,
    /// The currency our charges are in; the bridge is printed in it.
    pub currency: Currency,
    /// Version (hash) of the price table that `rates` was taken from.
    pub price_table: String,
    /// Every attempt at this provider and account from two days before the period to two after.
    pub attempts: Vec<AttemptFact>,
    /// The imported exports that are in force for the period; replaced ones are left out.
    pub imports: Vec<ImportFact>,
    /// The price book: every row that could have priced a line of this provider.
    pub rates: Vec<CandidateRate>,
    /// What is known about keys, projects and workspaces of the bill.
    pub ties: Ties,
    /// Spellings on a bill and the model ids they stand for.
    pub aliases: BTreeMap<String, ModelName>,
    /// Spans in which traffic may have passed unrecorded.
    pub gaps: Vec<GapFact>,
    /// The first instant these books cover; `None` for books older than the period.
    pub books_began: Option<Timestamp>,
    /// Totals of the document that is paid, where a person typed them in.
    pub document: Option<DocumentTotals>,
    /// How a bill in another currency is brought into the books' currency.
    pub exchange: Option<ExchangeRate>,
}

/// One upstream attempt as the books know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptFact {
    /// The attempt.
    pub attempt: AttemptId,
    /// The client request it served.
    pub request: RequestId,
    /// The provider's id of the call, from its headers or its answer.
    pub provider_request_id: Option<Arc<str>>,
    /// When it was sent.
    pub started_at: Timestamp,
    /// When it ended; equal to the start where the end is not known.
    pub ended_at: Timestamp,
    /// The kind of call.
    pub endpoint: Endpoint,
    /// The provider key it used.
    pub credential: Option<CredentialId>,
    /// The key's last characters, for pages.
    pub credential_hint: Arc<str>,
    /// The project (OpenAI) or workspace (Anthropic) the answer's headers named.
    pub scope: Option<Arc<str>>,
    /// The model asked for.
    pub model_requested: Option<ModelName>,
    /// The circumstances that selected the price.
    pub conditions: Conditions,
    /// What was used and charged, meter by meter.
    pub metered: Vec<MeteredFact>,
    /// Where the quantities come from.
    pub usage_source: UsageSource,
    /// Whether our books expect it on the bill.
    pub billing_class: BillingClass,
    /// How it ended.
    pub ending: Ending,
    /// The provider's HTTP status, where it answered.
    pub status: Option<u16>,
    /// What we counted ourselves, where we did.
    pub counted: Option<CountedTokens>,
    /// The most output tokens the request allowed.
    pub max_output: Option<u64>,
    /// The most input tokens the request can have held (its bytes), where usage is not known.
    pub max_input: Option<u64>,
}

/// One meter of one billed model of an attempt, and its charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeteredFact {
    /// The model billed.
    pub model: ModelName,
    /// What was counted.
    pub meter: Meter,
    /// In the meter's atoms.
    pub quantity: u64,
    /// The stored charge; `None` is unpriced, which is not free.
    pub charge: Option<ChargeFact>,
}

/// A stored charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeFact {
    /// The price row that gave it.
    pub rate_id: Arc<str>,
    /// Price of one atom, where it has a finite decimal.
    pub unit_price: Option<Decimal>,
    /// Quantity times price, as stored.
    pub amount: Amount,
    /// Whether the stored amount was rounded at 10⁻¹².
    pub rounded: bool,
}

/// Tokens counted here, beside those reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountedTokens {
    /// Input tokens.
    pub input: Option<u64>,
    /// Output tokens.
    pub output: Option<u64>,
}

/// Whether an attempt is expected on the bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BillingClass {
    /// Yes.
    Billed,
    /// No; its charges are in no total of ours.
    NotBilled,
    /// No rule tells; its charges are in our totals.
    Uncertain,
    /// Paid by a seat or a subscription.
    OutsideBill,
}

/// How an attempt ended, as far as it can matter to a bill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ending {
    /// The whole answer came.
    Completed,
    /// The provider answered with a 5xx status.
    ProviderError,
    /// The provider answered with a 4xx status.
    RequestRefused,
    /// Nothing came within the time allowed.
    TimedOut,
    /// The client hung up before the first token.
    ClientGoneEarly,
    /// The client hung up, or the connection broke, after tokens had come.
    CutShort,
    /// Another hedged attempt answered first.
    HedgeLost,
    /// The provider's content filter stopped it.
    ContentFiltered,
    /// Answered from our own cache; nothing was sent.
    CacheHit,
    /// Sent, and never settled.
    Orphaned,
}

/// One sealed import.
#[derive(Clone, Debug)]
pub struct ImportFact {
    /// The batch id.
    pub batch: String,
    /// SHA-256 of the file, hexadecimal.
    pub file_hash: String,
    /// The export's kind, for people: `OpenAI cost export`.
    pub kind: String,
    /// The provider's days the file covers, days without a charge included; empty means "those
    /// its rows name".
    pub covered_days: Vec<NaiveDate>,
    /// When it was imported. No export says when it was made; it was made no later than this, so
    /// that a day imported within 72 hours of its end may still move.
    pub imported_at: Option<Timestamp>,
    /// Money rows.
    pub lines: Vec<BilledLine>,
    /// Quantity rows.
    pub usage: Vec<UsageRow>,
}

impl Inputs {
    /// The exports that say what was charged. Quantities alone say nothing of money, and a file
    /// that may be either export of a time without usage does so only where there is no other.
    pub fn money_exports(&self) -> impl Iterator<Item = &ImportFact> {
        let is_either =
            |import: &ImportFact| import.kind == ExportFormat::OpenAiNothingUsed.as_str();
        let of_money = |import: &&ImportFact| !import.lines.is_empty() || import.usage.is_empty();
        let any = self.imports.iter().filter(of_money).any(|import| !is_either(import));
        self.imports.iter().filter(of_money).filter(move |import| !(any && is_either(import)))
    }
}

/// One price of one meter over one period, under its conditions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CandidateRate {
    /// The row's id, as charges bear it. One row prices several meters.
    pub rate_id: Arc<str>,
    /// The model.
    pub model: ModelName,
    /// The meter.
    pub meter: Meter,
    /// First instant it holds.
    pub from: Timestamp,
    /// First instant it no longer holds; `None` is open.
    pub until: Option<Timestamp>,
    /// The conditions it asks for.
    pub conditions: Conditions,
    /// The row is for calls with more input tokens than this.
    pub context_over: Option<u64>,
    /// Price of one atom, exact.
    pub unit_price: Decimal,
    /// The provider's page.
    pub source_url: String,
    /// The day it was read there.
    pub read_on: String,
}

/// What is known about the names on a bill.
#[derive(Clone, Debug, Default)]
pub struct Ties {
    /// Keys of the bill and the credentials they are.
    pub keys: Vec<KeyTie>,
    /// Keys, projects or workspaces a person marked as known not to pass here, and what they are.
    pub known: BTreeMap<String, String>,
    /// A project or workspace as the bill prints it, and the id that answers' headers name.
    pub scopes: BTreeMap<String, String>,
    /// Credentials and the project or workspace their calls are billed to.
    pub credentials: Vec<ScopeTie>,
}

/// A key on the bill is a credential of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTie {
    /// The key's id or name, as the bill prints it.
    pub key: String,
    /// The credential.
    pub credential: CredentialId,
    /// Confirmed by a person; else proposed.
    pub confirmed: bool,
}

/// The calls of a credential are billed to a project or workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeTie {
    /// The credential.
    pub credential: CredentialId,
    /// The project or workspace, as the bill prints it.
    pub scope: String,
    /// Confirmed by a person; what is only proposed is left alone.
    pub confirmed: bool,
}

/// A span in which traffic may have passed without a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GapFact {
    /// The span.
    pub period: ChargePeriod,
    /// The most attempts that can be missing.
    pub at_most: Option<u64>,
}

impl GapFact {
    /// Whether an attempt can be missing at all: an unclean stop that lost nothing is a gap of none.
    pub(crate) fn may_hide_traffic(&self) -> bool {
        self.at_most != Some(0)
    }

    /// What may be missing, in a sentence.
    pub(crate) fn sentence(&self) -> String {
        let at_most = self
            .at_most
            .map_or_else(|| "an unknown number of".to_owned(), |most| format!("at most {most}"));
        format!(
            "between {} and {} {at_most} attempts may be missing from our books",
            self.period.start, self.period.end
        )
    }
}

/// The document that is paid. All in the currency of the export.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DocumentTotals {
    /// What is to be paid.
    #[serde(with = "rust_decimal::serde::str")]
    pub total: Decimal,
    /// Tax added by the document, zero or more.
    #[serde(with = "rust_decimal::serde::str")]
    pub tax: Decimal,
    /// Credits taken off by the document, zero or more.
    #[serde(with = "rust_decimal::serde::str")]
    pub credits: Decimal,
}

/// How many units of the books' currency one unit of the bill's currency is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangeRate {
    /// The bill's currency.
    pub from: Currency,
    /// The books' currency.
    pub into: Currency,
    /// Units of the books' currency for one unit of the bill's.
    #[serde(with = "rust_decimal::serde::str")]
    pub rate: Decimal,
    /// Where it was read and of which day, as a person said it; may be empty.
    pub source: String,
}

impl ExchangeRate {
    /// The rate and where it is from, in words.
    pub(crate) fn words(&self) -> String {
        let rate = canonical_text(self.rate);
        let source = match self.source.as_str() {
            "" => "no source was named",
            named => named,
        };
        format!("{} 1 is {} {rate} ({source})", self.from, self.into)
    }
}
