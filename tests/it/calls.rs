//! Calls that passed here, as posting brings them into the books: priced by the built-in table.

use std::fmt::Write as _;

use counterfoil::ledger::count::Count;
use counterfoil::ledger::entry::Entry;
use counterfoil::ledger::gap::{CoverageGap, GapReason};
use counterfoil::ledger::intent::{Credential, CredentialKind, Intent, LabelSource, Labels};
use counterfoil::ledger::settlement::{BillingClass, Outcome, PayingAccount, Settlement};
use counterfoil::meter::{Meter, Quantities};
use counterfoil::names::{
    AttemptId, CredentialId, Endpoint, ModelName, ProviderName, RequestId, new_id,
};
use counterfoil::period::{ChargePeriod, Timestamp};
use counterfoil::pricing::rate::rate;
use counterfoil::pricing::table::PriceTable;
use counterfoil::store::books::Books;
use counterfoil::store::posting::post;
use counterfoil::store::projection::PostingRecord;
use counterfoil::usage::{ModelUsage, ReportedUsage, UsageSource};

/// A call to be laid down.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub at: &'a str,
    pub provider: &'a str,
    pub key: &'a str,
    pub organization: Option<&'a str>,
    /// Named by the answer.
    pub project: Option<&'a str>,
    pub model: &'a str,
    pub input: u64,
    pub output: u64,
    /// Our own count of both sides.
    pub counted: Option<(u64, u64)>,
    pub settled: bool,
}

impl Default for Call<'_> {
    fn default() -> Self {
        Self {
            at: "2026-10-01T12:00:00Z",
            provider: "openai",
            key: "credential-1",
            organization: Some("org-1"),
            project: Some("proj_1"),
            model: "gpt-5-2025-08-07",
            input: 1_000_000,
            output: 0,
            counted: None,
            settled: true,
        }
    }
}

/// Records of one node on their way into the books.
pub struct Node<'a> {
    books: &'a Books,
    table: PriceTable,
    records: Vec<PostingRecord>,
    n: i64,
}

impl<'a> Node<'a> {
    pub fn new(books: &'a Books) -> Self {
        Self { books, table: PriceTable::builtin().unwrap(), records: Vec::new(), n: 0 }
    }

    pub fn call(&mut self, call: Call<'_>) -> AttemptId {
        let started_at: Timestamp = call.at.parse().unwrap();
        let attempt = AttemptId::from_uuid(new_id(started_at));
        self.entry(Entry::Intent(Box::new(intent(attempt, started_at, &call))));
        if call.settled {
            let settlement = self.settlement(attempt, started_at, &call);
            self.entry(Entry::Settlement(Box::new(settlement)));
        }
        if let Some((input, output)) = call.counted {
            self.entry(Entry::Count(Box::new(Count {
                attempt,
                counted_at: started_at,
                input: Some(input),
                output: Some(output),
                method: "exact".to_owned(),
                encoding: "o200k_base".to_owned(),
                basis: "other_tokenizer".to_owned(),
                estimated_parts: Vec::new(),
            })));
        }
        attempt
    }

    pub fn gap(&mut self, from: &str, to: &str) {
        let period = ChargePeriod { start: from.parse().unwrap(), end: to.parse().unwrap() };
        self.entry(Entry::Gap(CoverageGap {
            period,
            at_most: Some(5),
            reason: GapReason::UncleanStop,
        }));
    }

    pub async fn post(&mut self) {
        self.post_as("node-1").await;
    }

    pub async fn post_as(&mut self, node: &str) {
        let records = std::mem::take(&mut self.records);
        post(self.books, node, &records).await.unwrap();
    }

    fn entry(&mut self, entry: Entry) {
        let body = format!("body of {}", self.n);
        let hash = |n: i64| format!("hash of {n}");
        let (prev_hash, n) = (hash(self.n), self.n + 1);
        self.n = n;
        self.records.push(PostingRecord { n, boot: 1, entry, body, prev_hash, hash: hash(n) });
    }

    fn settlement(&self, attempt: AttemptId, started_at: Timestamp, call: &Call<'_>) -> Settlement {
        let quantities = [(Meter::Input, call.input), (Meter::Output, call.output)];
        let quantities: Quantities =
            quantities.into_iter().filter(|(_, quantity)| *quantity > 0).collect();
        let usage = ReportedUsage {
            parts: vec![ModelUsage { model: None, quantities, context_tokens: call.input }],
            ..ReportedUsage::none(UsageSource::Reported)
        };
        let (provider, model) = (ProviderName::new(call.provider), ModelName::new(call.model));
        let valuation = rate(&self.table, &provider, &model, started_at, &usage);
        Settlement {
            attempt,
            ended_at: started_at.plus_micros(1_500_000),
            outcome: Outcome::Completed,
            status: Some(200),
            error: None,
            first_byte_us: Some(400_000),
            duration_us: 1_500_000,
            response_bytes: 2_000,
            model_served: Some(model),
            provider_request_id: Some(format!("req_{attempt}")),
            provider_response_id: None,
            account: PayingAccount {
                organization: call.organization.map(str::to_owned),
                project: call.project.map(str::to_owned),
                workspace: None,
            },
            usage,
            billing_class: BillingClass::Billed,
            valuation,
        }
    }
}

fn intent(attempt: AttemptId, started_at: Timestamp, call: &Call<'_>) -> Intent {
    Intent {
        attempt,
        request: RequestId::from_uuid(*attempt.uuid()),
        ordinal: 1,
        started_at,
        provider: call.provider.into(),
        endpoint: Endpoint::Chat,
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        model_requested: Some(call.model.into()),
        stream: false,
        credential: Some(Credential {
            id: CredentialId::new(call.key),
            hint: call.key.chars().skip(call.key.chars().count().saturating_sub(4)).collect(),
            kind: CredentialKind::PassedThrough,
        }),
        caller: None,
        labels: Labels { source: LabelSource::None, ..Labels::default() },
        max_output: Some(100),
        request_bytes: 321,
        price_version: "table-1".to_owned(),
        reservation: None,
    }
}

/// Output tokens of a key on a day: different for every key and day.
pub fn tokens_of(key: u64, day: u64) -> u64 {
    1_000_000 + key * 50_000 + day * 1_000
}

/// Two keys that pass here and one that does not, over so many days of October 2026; the export
/// bills them to the token.
pub async fn three_keys(books: &Books, days: u64) -> String {
    let mut node = Node::new(books);
    let mut export =
        "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,\
                      quantity,quantity_unit,line_item,api_key_id,project_id,organization_id\n"
            .to_owned();
    for day in 1..=days {
        for key in 1..=3 {
            let output = tokens_of(key, day);
            if key < 3 {
                let (at, key) = (format!("2026-10-{day:02}T12:00:00Z"), format!("cred-{key}"));
                node.call(Call { at: &at, key: &key, input: 0, output, ..Call::default() });
            }
            let start = 1_790_812_800 + (day - 1) * 86_400;
            let amount = format!("{}.{:05}", output / 100_000, output % 100_000);
            writeln!(
                export,
                "{start},{},2026-10-{day:02}T00:00:00+00:00,,{amount},usd,{output},tokens,\
                 \"gpt-5-2025-08-07, output\",key_{key},proj_1,org-1",
                start + 86_400
            )
            .unwrap();
        }
    }
    node.post().await;
    export
}

/// A key whose answers name no project, over October 2026, and an export that bills what it used
/// twice: to one project and to another.
pub async fn two_projects(books: &Books) -> String {
    let mut node = Node::new(books);
    let mut export =
        "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,\
                      quantity,quantity_unit,line_item,project_id,organization_id\n"
            .to_owned();
    for day in 1..=31 {
        let at = format!("2026-10-{day:02}T12:00:00Z");
        let (key, output) = ("cred-1", 1_000_000);
        node.call(Call { at: &at, key, project: None, input: 0, output, ..Call::default() });
        let start = 1_790_812_800 + (day - 1) * 86_400;
        for project in ["proj_1", "proj_2"] {
            writeln!(
                export,
                "{start},{},2026-10-{day:02}T00:00:00+00:00,,10,usd,1000000,tokens,\
                 \"gpt-5-2025-08-07, output\",{project},org-1",
                start + 86_400
            )
            .unwrap();
        }
    }
    node.post().await;
    export
}
