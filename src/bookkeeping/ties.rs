//! Ties between credentials of ours and names on the bill: proposed from what agrees, applied only
//! when a person says so.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::bookkeeping::gather::gather;
use crate::bookkeeping::month::{CloseError, Month, interrupted};
use crate::names::{Clock, CredentialId, ProviderName};
use crate::pricing::table::PriceTable;
use crate::reconcile::matching::look_alike;
use crate::store::accounts::{self, Remark};
use crate::store::books::Books;
use crate::store::error::StoreError;

/// Days on which tokens must agree before a tie is proposed: one or two may be chance.
pub(crate) const DAYS_NEEDED: usize = 3;

/// A tie somebody may confirm. Nothing is tied by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Proposal {
    /// The credential's fingerprint.
    pub credential: CredentialId,
    /// Its last four characters.
    pub hint: String,
    /// What it would be tied to: `key:PROVIDER/ID`.
    pub subject: String,
    /// Days on which some model's output agrees to the token.
    pub days_agreeing: usize,
    /// The output tokens of those days.
    pub tokens: u64,
}

/// Why a word was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TieError {
    /// The books.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Only these can be tied or marked.
    #[error("{0:?} is no key, project or workspace of a provider, like key:openai/key_search")]
    NotOnABill(String),
    /// Nothing was sent with it.
    #[error("the books know no credential {0}")]
    UnknownCredential(CredentialId),
}

/// Ties of a month's bill that nobody confirmed yet and that agree on `DAYS_NEEDED` days or more,
/// the strongest first. What a person tied or marked as known is not proposed again.
///
/// # Errors
/// [`CloseError`] where the month's account cannot be told or the books do not answer.
pub async fn proposals(
    books: &Books,
    prices: &PriceTable,
    month: &Month,
) -> Result<Vec<Proposal>, CloseError> {
    let (_, inputs) = gather(books, prices, month).await?;
    let provider = &month.provider;
    let credentials = accounts::credentials(books).await?;
    let hints: BTreeMap<String, String> =
        credentials.into_iter().map(|known| (known.credential, known.hint)).collect();
    let work = tokio::task::spawn_blocking(move || look_alike(&inputs));
    let alike = work.await.map_err(|_| interrupted())?;
    let enough = alike.into_iter().filter(|one| one.days_agreeing >= DAYS_NEEDED);
    let mut proposals: Vec<Proposal> = enough
        .map(|one| Proposal {
            hint: hints.get(one.credential.as_str()).cloned().unwrap_or_default(),
            subject: key_subject(provider, &one.key),
            credential: one.credential,
            days_agreeing: one.days_agreeing,
            tokens: one.tokens,
        })
        .collect();
    proposals.sort_by(|a, b| {
        (b.days_agreeing, b.tokens, &a.subject).cmp(&(a.days_agreeing, a.tokens, &b.subject))
    });
    Ok(proposals)
}

/// A person says that a credential is this key of the bill; what was said before stays on record.
///
/// # Errors
/// [`TieError`] where the subject is none, the credential was never seen, or the books do not
/// take it.
pub async fn confirm(
    books: &Books,
    credential: &CredentialId,
    subject: &str,
    actor: &str,
    clock: &Clock,
) -> Result<(), TieError> {
    on_a_bill(subject)?;
    let seen = accounts::credentials(books).await?;
    if !seen.iter().any(|known| known.credential == credential.as_str()) {
        return Err(TieError::UnknownCredential(credential.clone()));
    }
    let of = format!("credential:{credential}");
    let said_at = clock.now();
    let remark = Remark { said_at, actor, subject: &of, attribute: "tied_to", value: subject };
    Ok(accounts::say(books, &remark).await?)
}

/// How a key of a provider's bill is spoken of in remarks.
pub(crate) fn key_subject(provider: &ProviderName, key: &str) -> String {
    format!("key:{provider}/{key}")
}

fn on_a_bill(subject: &str) -> Result<(), TieError> {
    let named = subject
        .split_once(':')
        .filter(|(kind, _)| matches!(*kind, "key" | "project" | "workspace"))
        .and_then(|(_, rest)| rest.split_once('/'));
    match named {
        Some((provider, name)) if !provider.is_empty() && !name.is_empty() => Ok(()),
        _ => Err(TieError::NotOnABill(subject.to_owned())),
    }
}
