//! Whose an export is: the account it names, or the only one there is, and never a guess.

use std::collections::{BTreeMap, BTreeSet};

use crate::bookkeeping::export_file::ImportError;
use crate::bookkeeping::month::ONLY_ACCOUNT;
use crate::bookkeeping::read_export::PartRead;
use crate::invoice::format::ExportFormat;
use crate::invoice::summary::Summary;
use crate::names::ProviderName;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::facts;
use crate::store::imports::BatchRecord;

/// Accounts that files name, each with its provider.
pub(crate) type Named = BTreeSet<(&'static str, String)>;

/// The accounts a file names, if any.
pub(crate) fn named_by(
    provider: &'static str,
    summary: &Summary,
) -> impl Iterator<Item = (&'static str, String)> {
    summary.accounts.iter().map(move |account| (provider, account.clone()))
}

/// The accounts of each provider that a file without a name may be of.
pub(crate) struct Accounts {
    known: BTreeMap<String, BTreeSet<String>>,
}

impl Accounts {
    /// Those of earlier imports and those other files beside this one name. Where a provider has
    /// neither and its exports name organizations, those its answers named.
    pub(crate) async fn read(
        books: &Books,
        batches: &[BatchRecord],
        beside: impl Iterator<Item = (&'static str, String)>,
    ) -> Result<Self, StoreError> {
        let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for record in batches.iter().filter(|record| record.withdrawn_at.is_none()) {
            let of_provider = known.entry(record.head.provider.clone()).or_default();
            of_provider.insert(record.head.account.clone());
        }
        for (provider, account) in beside {
            known.entry(provider.to_owned()).or_default().insert(account);
        }
        let provider = ExportFormat::OpenAiCost.provider();
        if !known.contains_key(provider) {
            let answered = facts::organizations(books, &ProviderName::new(provider)).await?;
            known.insert(provider.to_owned(), answered);
        }
        Ok(Self { known })
    }

    /// Those of one provider.
    pub(crate) fn known(&self, provider: &str) -> Vec<String> {
        self.known.get(provider).into_iter().flatten().cloned().collect()
    }

    /// The account a part belongs to: what the person said, else what the file names, else the
    /// only one known.
    pub(crate) fn of(&self, part: &PartRead, said: Option<&str>) -> Result<String, ImportError> {
        if let Some(said) = said.map(str::trim).filter(|said| !said.is_empty()) {
            return Ok(said.to_owned());
        }
        let named: Vec<&str> = part.summary.accounts.iter().map(String::as_str).collect();
        match named.as_slice() {
            [only] => return Ok((*only).to_owned()),
            [] => {}
            several => {
                let (file, named) = (part.name.clone(), several.join(", "));
                return Err(ImportError::SeveralAccounts { file, named });
            }
        }
        match self.known(part.format.provider()).as_slice() {
            [] => Ok(ONLY_ACCOUNT.to_owned()),
            [only] => Ok(only.clone()),
            several => {
                let (file, known) = (part.name.clone(), several.join(", "));
                Err(ImportError::AccountNeeded { file, known })
            }
        }
    }
}
