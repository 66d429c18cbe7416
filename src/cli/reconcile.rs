//! `counterfoil reconcile`: a month's bill explained, in words or as JSON.

use std::process::ExitCode;

use clap::Args;

use crate::bookkeeping::close::{self, DocumentWords, Explained};
use crate::bookkeeping::exchange::{self, RateWords};
use crate::bookkeeping::month::{CloseError, Month};
use crate::cli::arguments::{DataFolder, PriceFiles, block_on, finish, print};
use crate::money::canonical_text;
use crate::names::ProviderName;
use crate::period::BillingPeriod;
use crate::pricing::table::PriceTable;
use crate::serve::wall_clock;
use crate::store::books::Books;

/// Options of `reconcile`.
#[derive(Args)]
pub(super) struct ReconcileArguments {
    /// Who bills: openai, anthropic.
    provider: String,
    /// The month, like 2026-10, in UTC.
    period: BillingPeriod,
    /// The account, where several have exports.
    #[arg(long)]
    account: Option<String>,
    /// What the invoice document says is to be paid.
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    invoice_total: Option<String>,
    /// Tax the document adds.
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    tax: Option<String>,
    /// Credits the document takes off.
    #[arg(long, value_name = "C", allow_negative_numbers = true)]
    credits: Option<String>,
    /// Of a bill in another currency: what one unit of it is in the books' currency.
    #[arg(long, value_name = "EUR=1.0832")]
    exchange_rate: Option<String>,
    /// Where that rate was read and of which day; the report names it.
    #[arg(long, value_name = "TEXT", requires = "exchange_rate")]
    exchange_source: Option<String>,
    #[command(flatten)]
    data: DataFolder,
    #[command(flatten)]
    prices: PriceFiles,
    /// Print the whole report as JSON.
    #[arg(long)]
    json: bool,
}

/// Explains the month and keeps the report.
pub(super) fn run(arguments: &ReconcileArguments) -> ExitCode {
    block_on(async {
        let done = match arguments.prices.table() {
            Ok(prices) => explain(arguments, &prices).await,
            Err(error) => Err(error),
        };
        finish(done.map(|explained| show(&explained, arguments.json)))
    })
}

async fn explain(arguments: &ReconcileArguments, prices: &PriceTable) -> Result<Explained, String> {
    let provider = known_provider(&arguments.provider, prices)?;
    let folder = arguments.data.with_books()?;
    let books = Books::open(&folder).await.map_err(|error| error.to_string())?;
    let month = Month { provider, account: arguments.account.clone(), period: arguments.period };
    let done = work(arguments, &books, prices, &month).await;
    books.close().await;
    done.map_err(|error| error.to_string())
}

async fn work(
    arguments: &ReconcileArguments,
    books: &Books,
    prices: &PriceTable,
    month: &Month,
) -> Result<Explained, CloseError> {
    let clock = wall_clock();
    let words = DocumentWords {
        total: arguments.invoice_total.clone(),
        tax: arguments.tax.clone(),
        credits: arguments.credits.clone(),
    };
    if words.total.is_some() || words.tax.is_some() || words.credits.is_some() {
        close::say_document(books, month, &words, "cli", &clock).await?;
    }
    if let Some(rate) = &arguments.exchange_rate {
        let source = arguments.exchange_source.clone().unwrap_or_default();
        let words = RateWords { rate: rate.clone(), source };
        exchange::say(books, prices, month, &words, "cli", &clock).await?;
    }
    close::explain(books, prices, month, &clock).await
}

/// A mistyped provider must not look like one without a bill.
fn known_provider(typed: &str, prices: &PriceTable) -> Result<ProviderName, String> {
    let provider = ProviderName::new(typed.trim().to_lowercase());
    if prices.provider(&provider).is_some() {
        return Ok(provider);
    }
    let known: Vec<&str> = prices.providers().map(|(name, _)| name).collect();
    Err(format!("no prices of a provider {typed:?}; those known are {}", known.join(", ")))
}

fn show(explained: &Explained, json: bool) {
    let report = &explained.report;
    if json {
        return print(&serde_json::to_string_pretty(report).unwrap_or_default());
    }
    for sentence in &report.verdict.sentences {
        // The marks of what counts are for pages.
        print(&sentence.replace("**", ""));
    }
    print("");
    print(&format!("{:<60} {:>24}", "recorded, at list prices", canonical_text(report.recorded)));
    for finding in &report.findings {
        let what = format!("{}: {}", finding.title, finding.subject);
        let what: String = what.chars().take(60).collect();
        print(&format!(
            "{what:<60} {:>24}  {}; {}",
            canonical_text(finding.amount),
            finding.confidence_words,
            finding.move_words(),
        ));
    }
    print(&format!("{:<60} {:>24}", "billed, by the export", canonical_text(report.billed)));
    if let Some(document) = &report.document {
        print(&format!(
            "{:<60} {:>24}",
            "credits on the document",
            canonical_text(document.credits)
        ));
        print(&format!("{:<60} {:>24}", "tax on the document", canonical_text(document.tax)));
        let rounding = canonical_text(document.rounding);
        print(&format!("{:<60} {rounding:>24}", "rounding of the document"));
        let rest = canonical_text(document.unexplained);
        print(&format!("{:<60} {rest:>24}", "not explained on the document"));
        print(&format!("{:<60} {:>24}", "to be paid", canonical_text(document.total)));
    }
    print(&format!("{:<60} {:>24}", "of which not explained", canonical_text(report.unexplained)));
    print(&format!("\nreport {} of account {}", explained.id, explained.account));
}
