//! `/accounts`: every credential seen, what it spent, whose it is, and its tie to the bill.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Query as QueryOf, State};
use axum::http::Uri;
use axum::response::Response;
use serde::Serialize;

use crate::dashboard::format::{self, Money};
use crate::dashboard::page::{
    self, ACTOR, Chrome, CsvCell, CsvTable, Face, Page, PageError, see_other,
};
use crate::dashboard::spend;
use crate::dashboard::state::DashboardState;
use crate::dashboard::ties::{self, BilledName, ProposedTie};
use crate::dashboard::view::{Query, encode_text};
use crate::money::Currency;
use crate::period::{BillingPeriod, ChargePeriod, DAY_US, Timestamp};
use crate::store::accounts::{self as store, CredentialRecord, Remark, Remarks};
use crate::store::overview::{self, Dimension};
use crate::store::read::AttemptFilter;

/// The page.
#[derive(Template, Serialize)]
#[template(path = "accounts.html")]
pub(crate) struct Accounts {
    #[serde(skip)]
    chrome: Chrome,
    credentials: Vec<CredentialLine>,
    proposed: Vec<ProposedTie>,
    on_bills: Vec<BilledName>,
    #[serde(skip)]
    unread: Vec<String>,
    #[serde(skip)]
    notice: Option<String>,
    #[serde(skip)]
    base_url: String,
}

impl CredentialLine {
    fn attempts_text(&self) -> String {
        format::count(self.attempts_30_days)
    }

    fn short(&self) -> String {
        ties::fingerprint(&self.credential)
    }

    /// A tie whose name stands on no bill of the last months is offered as it was said.
    fn is_tied_beyond_the_choices(&self) -> bool {
        let is_it = |(subject, _): &(String, String)| *subject == self.tied_to;
        let is_offered = self.choices.iter().flat_map(|group| &group.names).any(is_it);
        !self.tied_to.is_empty() && !is_offered
    }
}

/// A credential.
#[derive(Clone, Debug, Serialize)]
struct CredentialLine {
    credential: String,
    provider: String,
    hint: String,
    kind: String,
    #[serde(skip)]
    kind_text: String,
    #[serde(serialize_with = "format::as_text")]
    first_used: Timestamp,
    #[serde(serialize_with = "format::as_text")]
    last_used: Timestamp,
    #[serde(skip)]
    first: String,
    #[serde(skip)]
    last: String,
    /// `None` where nothing of it has a price: unknown, not zero.
    spend_30_days: Option<Money>,
    currency: Currency,
    attempts_30_days: u64,
    name: String,
    team: String,
    tied_to: String,
    #[serde(skip)]
    requests: String,
    /// Names on the provider's bills it may be tied to, by their kind.
    #[serde(skip)]
    choices: Vec<ChoiceGroup>,
}

/// Names of one kind on a provider's bills.
#[derive(Clone, Debug)]
struct ChoiceGroup {
    label: &'static str,
    /// Subject and name.
    names: Vec<(String, String)>,
}

/// What a credential can be tied to on a bill, in the order it is offered: the finest first.
const BILLED_KINDS: [(&str, &str); 3] =
    [("key", "Keys"), ("project", "Projects"), ("workspace", "Workspaces")];

const ATTRIBUTES: [&str; 4] = ["name", "team", "tied_to", "known"];
const LONGEST: usize = 200;

/// `GET /accounts`, `/accounts.json`, `/accounts.csv`.
pub(crate) async fn show(
    State(state): State<Arc<DashboardState>>,
    uri: Uri,
    QueryOf(query): QueryOf<Query>,
) -> Response {
    let face = Face::of(uri.path());
    let answer = match make(&state, &query).await {
        Ok(page) => page::reply(face, &page, None),
        Err(error) => Err(error),
    };
    answer.unwrap_or_else(|error| error.reply(&state, face))
}

/// `POST /accounts/remark`: appends what changed; an empty field takes the word back.
pub(crate) async fn remark(
    State(state): State<Arc<DashboardState>>,
    Form(form): Form<Query>,
) -> Response {
    match say(&state, &form).await {
        Ok(notice) => see_other(&format!("/accounts?notice={}", encode_text(notice))),
        Err(error) => error.reply(&state, Face::Html),
    }
}

async fn say(state: &DashboardState, form: &Query) -> Result<&'static str, PageError> {
    let kinds = ["credential:", "key:", "project:", "workspace:"];
    let fits = |text: &str| text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
    let subject = form.get("subject").map_or("", String::as_str);
    if !kinds.iter().any(|kind| subject.starts_with(kind)) || !fits(subject) {
        let said = "The form speaks of nothing this page knows; open the page anew.";
        return Err(PageError::NotUnderstood(said.to_owned()));
    }
    let remarks = store::remarks(&state.books).await?;
    let mut changed = false;
    for attribute in ATTRIBUTES {
        let Some(value) = form.get(attribute).map(|text| text.trim()) else { continue };
        if !fits(value) {
            let said = format!("A {attribute} has at most {LONGEST} letters in one line.");
            return Err(PageError::NotUnderstood(said));
        }
        let held = remarks.get(subject).and_then(|said| said.get(attribute));
        if held.map_or("", String::as_str) != value {
            let said_at = state.clock.now();
            let remark = Remark { said_at, actor: ACTOR, subject, attribute, value };
            store::say(&state.books, &remark).await?;
            changed = true;
        }
    }
    Ok(if changed { "Noted. What was said before stays on record." } else { "Nothing changed." })
}

async fn make(state: &DashboardState, query: &Query) -> Result<Accounts, PageError> {
    let now = state.clock.now();
    let end = now.hour().plus_micros(DAY_US);
    let start = end.plus_micros(-31 * DAY_US);
    let filter = AttemptFilter::over(ChargePeriod { start, end });
    let by = Dimension::Credential;
    let cells = overview::spend(&state.books, &filter, by, 31 * DAY_US).await?;
    let attempts = overview::attempts(&state.books, &filter, by).await?;
    let currency = spend::total(&cells, |_| true).leading();
    let sums: BTreeMap<String, (Option<Money>, u64)> = spend::groups(&cells, &attempts, currency)
        .into_iter()
        .map(|sum| (sum.group.clone(), (sum.spend(currency), sum.attempts)))
        .collect();
    let remarks = store::remarks(&state.books).await?;
    let since = BillingPeriod::containing(now).previous().previous();
    let credentials = store::credentials(&state.books).await?;
    let on_bills = ties::on_bills(state, since, &credentials, &remarks).await?;
    let proposals = ties::proposals(state, since, &credentials, &remarks, &on_bills).await?;
    let line = |known: CredentialRecord| {
        let none = (Some(Money::new(crate::money::Amount::ZERO, currency)), 0);
        let sum = sums.get(&known.credential).copied().unwrap_or(none);
        credential_line(known, currency, sum, &remarks, &on_bills)
    };
    let mut credentials: Vec<CredentialLine> = credentials.into_iter().map(line).collect();
    // A spend that is not known comes after every one that is.
    let spent = |line: &CredentialLine| line.spend_30_days.map(|spend| spend.amount);
    credentials.sort_by_key(|line| (Reverse(spent(line)), Reverse(line.last_used)));
    Ok(Accounts {
        chrome: Chrome::new(state, "Accounts", "/accounts", "/accounts", ""),
        credentials,
        proposed: proposals.found,
        unread: proposals.unread,
        on_bills,
        notice: query.get("notice").map(|text| text.chars().take(300).collect()),
        base_url: state.proxy_base_url.clone(),
    })
}

fn credential_line(
    known: CredentialRecord,
    currency: Currency,
    (spend, attempts): (Option<Money>, u64),
    remarks: &Remarks,
    on_bills: &[BilledName],
) -> CredentialLine {
    let said = remarks.get(&format!("credential:{}", known.credential));
    let word = |attribute: &str| said.and_then(|said| said.get(attribute)).cloned();
    CredentialLine {
        kind_text: format::words(&known.kind),
        first: format::instant(known.first_used),
        last: format::instant(known.last_used),
        currency,
        spend_30_days: spend,
        attempts_30_days: attempts,
        name: word("name").unwrap_or_default(),
        team: word("team").unwrap_or_default(),
        tied_to: word("tied_to").unwrap_or_default(),
        requests: format!("/requests?range=30d&credential={}", encode_text(&known.credential)),
        choices: choices(&known.provider, on_bills),
        credential: known.credential,
        provider: known.provider,
        hint: known.hint,
        kind: known.kind,
        first_used: known.first_used,
        last_used: known.last_used,
    }
}

fn choices(provider: &str, on_bills: &[BilledName]) -> Vec<ChoiceGroup> {
    let of_kind = |(kind, label): (&str, &'static str)| {
        let own = on_bills.iter().filter(|name| name.provider == provider && name.kind == kind);
        let names = own.map(|name| (name.subject.clone(), name.name.clone())).collect();
        ChoiceGroup { label, names }
    };
    let groups = BILLED_KINDS.into_iter().map(of_kind);
    groups.filter(|group| !group.names.is_empty()).collect()
}

impl Accounts {
    /// Names on bills that nobody said anything of and no answer named.
    fn open(&self) -> usize {
        self.on_bills.iter().filter(|name| name.is_open()).count()
    }
}

impl Page for Accounts {
    fn csv(&self, _table: Option<&str>) -> CsvTable {
        let row = |line: &CredentialLine| {
            vec![
                CsvCell::text(&line.provider),
                CsvCell::text(&line.credential),
                CsvCell::text(&line.hint),
                CsvCell::text(&line.kind),
                CsvCell::text(line.first_used.to_string()),
                CsvCell::text(line.last_used.to_string()),
                CsvCell::number(line.spend_30_days.map(|spend| spend.amount)),
                CsvCell::text(line.currency.as_str()),
                CsvCell::number(Some(line.attempts_30_days)),
                CsvCell::text(&line.name),
                CsvCell::text(&line.team),
                CsvCell::text(&line.tied_to),
            ]
        };
        CsvTable {
            name: "credentials".to_owned(),
            header: vec![
                "provider",
                "credential",
                "last_four",
                "kind",
                "first_used_utc",
                "last_used_utc",
                "spend_30_days",
                "currency",
                "attempts_30_days",
                "name",
                "team",
                "tied_to",
            ],
            rows: self.credentials.iter().map(row).collect(),
        }
    }
}
