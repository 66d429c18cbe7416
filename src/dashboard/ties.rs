//! Names on bills and what they are here: ties people confirmed, ties that are proposed, and names
//! tied to nothing yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::Form;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;

use crate::bookkeeping::month::Month;
use crate::bookkeeping::ties::{self, Proposal, TieError};
use crate::dashboard::format;
use crate::dashboard::page::{ACTOR, Face, PageError, see_other};
use crate::dashboard::state::DashboardState;
use crate::dashboard::view::{Query, encode_text, month_text};
use crate::names::{CredentialId, ProviderName};
use crate::period::BillingPeriod;
use crate::store::accounts::{self as store, CredentialRecord, Remarks};
use crate::store::months;

/// A key, project or workspace an export names.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct BilledName {
    pub(crate) subject: String,
    pub(crate) provider: String,
    pub(crate) kind: String,
    pub(crate) name: String,
    /// A person said which credential, project or workspace of ours it is.
    pub(crate) tied: bool,
    /// A project or workspace that answers to requests of ours name as well.
    pub(crate) seen: bool,
    /// What a person said it is, though it does not pass here.
    pub(crate) known: String,
    /// What it is tied to, for people.
    #[serde(skip)]
    pub(crate) tie: String,
    /// What it can be tied to: value and text.
    #[serde(skip)]
    pub(crate) choices: Vec<(String, String)>,
}

/// A tie somebody may confirm, with what speaks for it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ProposedTie {
    #[serde(flatten)]
    pub(crate) proposal: Proposal,
    pub(crate) account: String,
    pub(crate) period: BillingPeriod,
    #[serde(skip)]
    pub(crate) key: String,
    #[serde(skip)]
    pub(crate) month: String,
    #[serde(skip)]
    pub(crate) tokens: String,
}

/// What came of looking for ties.
#[derive(Clone, Debug, Default)]
pub(crate) struct Proposals {
    pub(crate) found: Vec<ProposedTie>,
    /// Months that could not be looked at, and why.
    pub(crate) unread: Vec<String>,
}

impl BilledName {
    /// Nobody said what it is, and no answer named it.
    pub(crate) fn is_open(&self) -> bool {
        !self.tied && !self.seen && self.known.is_empty()
    }
}

/// `POST /accounts/tie`: a person says that a credential is this key of the bill.
pub(crate) async fn tie(
    State(state): State<Arc<DashboardState>>,
    Form(form): Form<Query>,
) -> Response {
    let word = |name: &str| form.get(name).map_or("", |text| text.trim());
    let (credential, subject) = (word("credential"), word("subject"));
    let credential = CredentialId::new(credential);
    match ties::confirm(&state.books, &credential, subject, ACTOR, &state.clock).await {
        Ok(()) => {
            let said = "Tied. A month that was compared before takes it in when compared again.";
            see_other(&format!("/accounts?notice={}", encode_text(said)))
        }
        Err(error) => page_error(error).reply(&state, Face::Html),
    }
}

/// Names on the bills since a month, each with its tie.
///
/// # Errors
/// [`PageError::Books`] where the books do not answer.
pub(crate) async fn on_bills(
    state: &DashboardState,
    since: BillingPeriod,
    credentials: &[CredentialRecord],
    remarks: &Remarks,
) -> Result<Vec<BilledName>, PageError> {
    let found = store::billed_names(&state.books, since.first_day()).await?;
    let scopes = store::seen_scopes(&state.books).await?;
    let said = |subject: &str, attribute: &str| {
        remarks.get(subject).and_then(|said| said.get(attribute)).cloned().unwrap_or_default()
    };
    let mut holders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for known in credentials {
        let tied_to = said(&format!("credential:{}", known.credential), "tied_to");
        if !tied_to.is_empty() {
            let key = hint_and_id(&known.hint, &known.credential);
            holders.entry(tied_to).or_default().push(key);
        }
    }
    let name = |(provider, kind, name): (String, String, String)| {
        let subject = format!("{kind}:{provider}/{name}");
        let holders = holders.get(&subject).map(|hints| hints.join(", "));
        let tie = holders.unwrap_or_else(|| said(&subject, "tied_to"));
        BilledName {
            tied: !tie.is_empty(),
            seen: scopes.contains(&(provider.clone(), kind.clone(), name.clone())),
            known: said(&subject, "known"),
            choices: choices(&provider, &kind, credentials, &scopes),
            tie,
            subject,
            provider,
            kind,
            name,
        }
    };
    Ok(found.into_iter().map(name).collect())
}

fn choices(
    provider: &str,
    kind: &str,
    credentials: &[CredentialRecord],
    scopes: &BTreeSet<(String, String, String)>,
) -> Vec<(String, String)> {
    if kind == "key" {
        let own = credentials.iter().filter(|known| known.provider == provider);
        return own
            .map(|own| (own.credential.clone(), hint_and_id(&own.hint, &own.credential)))
            .collect();
    }
    let own = scopes.iter().filter(|(of, sort, _)| of == provider && sort == kind);
    own.map(|(_, _, name)| (name.clone(), name.clone())).collect()
}

/// Ties proposed from the newest month of each account since a month. Months are read only where a
/// key and a credential are both still free.
///
/// # Errors
/// [`PageError::Books`] where the books do not answer; what keeps one month from being read is
/// said beside the others.
pub(crate) async fn proposals(
    state: &DashboardState,
    since: BillingPeriod,
    credentials: &[CredentialRecord],
    remarks: &Remarks,
    on_bills: &[BilledName],
) -> Result<Proposals, PageError> {
    let is_tied = |known: &CredentialRecord| {
        let said = remarks.get(&format!("credential:{}", known.credential));
        said.is_some_and(|said| said.contains_key("tied_to"))
    };
    let is_free = |provider: &str| {
        credentials.iter().any(|known| known.provider == provider && !is_tied(known))
            && on_bills
                .iter()
                .any(|name| name.provider == provider && name.kind == "key" && name.is_open())
    };
    let until = BillingPeriod::containing(state.clock.now()).next();
    let days = months::covered_days(&state.books, since.first_day(), until.first_day()).await?;
    let mut newest: BTreeMap<(String, String), BillingPeriod> = BTreeMap::new();
    for day in days.into_iter().filter(|day| is_free(&day.provider)) {
        let month = BillingPeriod::of_date(day.day);
        let held = newest.entry((day.provider, day.account)).or_insert(month);
        *held = (*held).max(month);
    }
    let mut proposals = Proposals::default();
    for ((provider, account), period) in newest {
        let month = Month {
            provider: ProviderName::new(provider.as_str()),
            account: Some(account.clone()),
            period,
        };
        match ties::proposals(&state.books, &state.prices, &month).await {
            Ok(found) => proposals.found.extend(found.into_iter().map(|proposal| ProposedTie {
                key: hint_and_id(&proposal.hint, proposal.credential.as_str()),
                tokens: format::count(proposal.tokens),
                month: month_text(period),
                account: account.clone(),
                period,
                proposal,
            })),
            Err(error) => proposals.unread.push(format!("{provider} {period}: {error}")),
        }
    }
    Ok(proposals)
}

/// Enough of a credential's fingerprint to tell keys of one team apart.
pub(crate) fn fingerprint(credential: &str) -> String {
    credential.chars().take(8).collect()
}

/// `…x4Qm (8e543c8a)`: two keys may end alike.
fn hint_and_id(hint: &str, credential: &str) -> String {
    format!("…{hint} ({})", fingerprint(credential))
}

fn page_error(error: TieError) -> PageError {
    match error {
        TieError::Store(error) => error.into(),
        TieError::NotOnABill(_) | TieError::UnknownCredential(_) => {
            PageError::NotUnderstood(error.to_string())
        }
    }
}
