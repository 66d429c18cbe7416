//! A month written by hand: a book of prices, attempts, lines, and the report they give.

use std::collections::BTreeMap;
use std::sync::Arc;

use counterfoil::invoice::line::{AmountPrecision, BilledDimensions, BilledLine, ChargeCategory};
use counterfoil::meter::Meter;
use counterfoil::money::{Amount, Currency, exact_mul, parse_decimal};
use counterfoil::names::{AttemptId, CredentialId, Endpoint, ModelName, ProviderName, RequestId};
use counterfoil::period::{ChargePeriod, Timestamp};
use counterfoil::reconcile::engine::{ReconcileError, reconcile};
use counterfoil::reconcile::facts::{
    AttemptFact, BillingClass, CandidateRate, ChargeFact, Ending, ImportFact, Inputs, KeyTie,
    MeteredFact, Ties,
};
use counterfoil::reconcile::finding::{Cause, Finding};
use counterfoil::reconcile::report::Report;
use counterfoil::usage::{Conditions, UsageSource};
use rust_decimal::Decimal;
use uuid::Uuid;

pub(crate) fn money(text: &str) -> Decimal {
    parse_decimal(text).unwrap()
}

pub(crate) fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A price per million as a price per token.
pub(crate) fn per_token(per_million: &str) -> Decimal {
    exact_mul(money(per_million), money("0.000001")).unwrap()
}

pub(crate) fn october() -> ChargePeriod {
    ChargePeriod { start: instant("2026-10-01T00:00:00Z"), end: instant("2026-11-01T00:00:00Z") }
}

/// What one attempt used: model, meter, units, price per million as our books charged it.
pub(crate) type Used<'a> = (&'a str, Meter, u64, &'a str);

/// The worked examples' month.
pub(crate) struct Case {
    pub(crate) inputs: Inputs,
    pub(crate) decimals: u32,
    pub(crate) precision: AmountPrecision,
    next: u128,
}

impl Case {
    /// October 2026, empty books, one import without lines.
    pub(crate) fn new() -> Self {
        let import = ImportFact {
            batch: "batch-1".to_owned(),
            file_hash: "00".repeat(32),
            kind: "cost export".to_owned(),
            covered_days: Vec::new(),
            imported_at: None,
            lines: Vec::new(),
            usage: Vec::new(),
        };
        let inputs = Inputs {
            provider: ProviderName::from("openai"),
            account: None,
            period: "2026-10".parse().unwrap(),
            currency: Currency::USD,
            price_table: "table-1".to_owned(),
            attempts: Vec::new(),
            imports: vec![import],
            rates: Vec::new(),
            ties: Ties::default(),
            aliases: BTreeMap::new(),
            gaps: Vec::new(),
            books_began: None,
            document: None,
            exchange: None,
        };
        Self { inputs, decimals: 10, precision: AmountPrecision::Exact, next: 1 }
    }

    /// The book of the worked examples: atlas-1 today, and its batch price at half.
    pub(crate) fn with_atlas() -> Self {
        let mut case = Self::new();
        let prices = [
            (Meter::Input, "3.00", "1.50"),
            (Meter::InputCacheRead, "0.30", "0.15"),
            (Meter::InputCacheWrite5m, "3.75", "1.875"),
            (Meter::InputCacheWrite1h, "6.00", "3.00"),
            (Meter::Output, "15.00", "7.50"),
        ];
        for (meter, standard, batch) in prices {
            case.rate("atlas-1", meter, standard, "2026-06-01T00:00:00Z", None, &[]);
            let conditions = [("processing", "batch")];
            case.rate("atlas-1", meter, batch, "2026-06-01T00:00:00Z", None, &conditions);
        }
        case
    }

    /// The version of atlas-1 before June.
    pub(crate) fn with_old_version(mut self) -> Self {
        let until = Some("2026-06-01T00:00:00Z");
        self.rate("atlas-1", Meter::Input, "2.50", "2026-01-01T00:00:00Z", until, &[]);
        self.rate("atlas-1", Meter::Output, "12.50", "2026-01-01T00:00:00Z", until, &[]);
        self
    }

    pub(crate) fn rate(
        &mut self,
        model: &str,
        meter: Meter,
        per_million: &str,
        from: &str,
        until: Option<&str>,
        conditions: &[(&str, &str)],
    ) {
        let mut said = Conditions::default();
        for (key, value) in conditions {
            said.set(*key, *value);
        }
        self.inputs.rates.push(CandidateRate {
            rate_id: rate_id(model, per_million, meter),
            model: ModelName::from(model),
            meter,
            from: instant(from),
            until: until.map(instant),
            conditions: said,
            context_over: None,
            unit_price: per_token(per_million),
            source_url: "prices.example/atlas".to_owned(),
            read_on: "2026-06-02".to_owned(),
        });
    }

    /// One completed attempt on key `k1`.
    pub(crate) fn attempt(&mut self, at: &str, used: &[Used<'_>]) -> &mut AttemptFact {
        let id = Uuid::from_u128(self.next);
        self.next += 1;
        let metered = used.iter().map(|(model, meter, quantity, per_million)| {
            let price = per_token(per_million);
            let amount = exact_mul(price, Decimal::from(*quantity)).unwrap();
            MeteredFact {
                model: ModelName::from(*model),
                meter: *meter,
                quantity: *quantity,
                charge: Some(ChargeFact {
                    rate_id: rate_id(model, per_million, *meter),
                    unit_price: Some(price),
                    amount: Amount::from_decimal(amount).unwrap(),
                    rounded: false,
                }),
            }
        });
        let metered = metered.collect();
        self.inputs.attempts.push(AttemptFact {
            attempt: AttemptId::from_uuid(id),
            request: RequestId::from_uuid(id),
            provider_request_id: Some(Arc::from(format!("req_{}", self.next))),
            started_at: instant(at),
            ended_at: instant(at),
            endpoint: Endpoint::Chat,
            credential: Some(CredentialId::from("k1")),
            credential_hint: Arc::from("abcd"),
            scope: None,
            model_requested: used.first().map(|one| ModelName::from(one.0)),
            conditions: Conditions::default(),
            metered,
            usage_source: UsageSource::Reported,
            billing_class: BillingClass::Billed,
            ending: Ending::Completed,
            status: Some(200),
            counted: None,
            max_output: None,
            max_input: None,
        });
        self.inputs.attempts.last_mut().unwrap()
    }

    /// One line of the month's usage.
    pub(crate) fn line(
        &mut self,
        model: &str,
        meter: Meter,
        quantity: Option<u64>,
        amount: &str,
    ) -> &mut BilledLine {
        let line = BilledLine {
            row: 0,
            period: october(),
            category: ChargeCategory::Usage,
            description: format!("{model}, {meter}"),
            billed_cost: money(amount),
            list_cost: None,
            currency: Currency::USD,
            precision: self.precision,
            shown_decimals: self.decimals,
            quantity,
            model: Some(model.to_owned()),
            meter: Some(meter),
            dimensions: BilledDimensions::default(),
        };
        self.push(line)
    }

    /// One line that is no usage.
    pub(crate) fn face_line(&mut self, category: ChargeCategory, words: &str, amount: &str) {
        let line = BilledLine {
            row: 0,
            period: october(),
            category,
            description: words.to_owned(),
            billed_cost: money(amount),
            list_cost: None,
            currency: Currency::USD,
            precision: AmountPrecision::HalfUp,
            shown_decimals: 2,
            quantity: None,
            model: None,
            meter: None,
            dimensions: BilledDimensions::default(),
        };
        self.push(line);
    }

    fn push(&mut self, mut line: BilledLine) -> &mut BilledLine {
        let lines = &mut self.inputs.imports[0].lines;
        line.row = u64::try_from(lines.len()).unwrap() + 1;
        lines.push(line);
        lines.last_mut().unwrap()
    }

    /// Key `k1` of the bill is confirmed to be our credential `k1`.
    pub(crate) fn tie_k1(&mut self) {
        let credential = CredentialId::from("k1");
        self.inputs.ties.keys.push(KeyTie { key: "k1".to_owned(), credential, confirmed: true });
    }

    pub(crate) fn try_report(&self) -> Result<Report, ReconcileError> {
        reconcile(&self.inputs)
    }

    /// The report, its sums checked once more from outside.
    pub(crate) fn report(&self) -> Report {
        let report = self.try_report().unwrap();
        let findings: Decimal = report.findings.iter().map(|one| one.amount).sum();
        assert_eq!(report.recorded + findings, report.billed);
        let steps: Decimal = report.bridge.iter().map(|row| row.amount).sum();
        assert_eq!(report.recorded + steps, report.billed);
        assert_eq!(report.bridge.last().unwrap().balance, report.billed);
        for finding in &report.findings {
            let parts: Decimal = finding.parts.iter().map(|part| part.amount).sum();
            assert_eq!(parts, finding.amount, "{}", finding.id);
        }
        report
    }
}

/// The only finding of a cause.
pub(crate) fn only(report: &Report, cause: Cause) -> &Finding {
    let found: Vec<&Finding> = report.findings.iter().filter(|one| one.cause == cause).collect();
    assert_eq!(found.len(), 1, "{cause}: {:#?}", report.findings);
    found[0]
}

/// Causes and amounts of a report, in its order.
pub(crate) fn causes(report: &Report) -> Vec<(Cause, String)> {
    let text = |amount: Decimal| counterfoil::money::canonical_text(amount);
    report.findings.iter().map(|one| (one.cause, text(one.amount))).collect()
}

/// The amount of a finding for one meter.
pub(crate) fn part(finding: &Finding, meter: Meter) -> String {
    let parts = finding.parts.iter().filter(|part| part.meter == Some(meter));
    counterfoil::money::canonical_text(parts.map(|part| part.amount).sum())
}

fn rate_id(model: &str, per_million: &str, meter: Meter) -> Arc<str> {
    Arc::from(format!("{model}/{meter}/{per_million}"))
}
