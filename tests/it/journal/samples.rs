//! Records to write in tests: an attempt by its number, with usage, charges and accounts.

use counterfoil::ledger::entry::{Correction, Entry};
use counterfoil::ledger::intent::{Credential, CredentialKind, Intent, LabelSource, Labels};
use counterfoil::ledger::settlement::{BillingClass, Outcome, PayingAccount, Settlement};
use counterfoil::meter::{Meter, Quantities};
use counterfoil::money::{Amount, Currency};
use counterfoil::names::{AttemptId, Clock, Endpoint, ModelName, RequestId};
use counterfoil::period::Timestamp;
use counterfoil::pricing::charge::{Charge, Unpriced, UnpricedReason, Valuation, ValuationStatus};
use counterfoil::usage::{ModelUsage, ReportedUsage, UsageSource};
use uuid::Uuid;

/// 2026-09-21T14:13:20Z.
pub(super) const START: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

/// A clock that stands still.
pub(super) fn clock() -> Clock {
    Clock::new(|| START)
}

/// An attempt's id from its number.
pub(super) fn attempt(number: u128) -> AttemptId {
    AttemptId::from_uuid(Uuid::from_u128((0x0197_0000_0000_7000_8000 << 64) | number))
}

/// An intent sent at an instant.
pub(super) fn intent_at(number: u128, started_at: Timestamp) -> Intent {
    Intent {
        attempt: attempt(number),
        request: RequestId::from_uuid(*attempt(number).uuid()),
        ordinal: 1,
        started_at,
        provider: "openai".into(),
        endpoint: Endpoint::Chat,
        method: "POST".to_owned(),
        path: "/v1/chat/completions".to_owned(),
        model_requested: Some("gpt-5".into()),
        stream: false,
        credential: Some(Credential {
            id: counterfoil::names::CredentialId::new("fingerprint"),
            hint: "x4Qm".to_owned(),
            kind: CredentialKind::PassedThrough,
        }),
        caller: None,
        labels: Labels {
            team: Some("search".to_owned()),
            source: LabelSource::Claimed,
            ..Labels::default()
        },
        max_output: Some(100),
        request_bytes: 321,
        price_version: "table-1".to_owned(),
        reservation: None,
    }
}

/// An intent sent when the clock stands.
pub(super) fn intent(number: u128) -> Intent {
    intent_at(number, START)
}

/// One charge.
pub(super) fn charge(model: &str, meter: Meter, quantity: u64, pico: i128) -> Charge {
    Charge {
        model: ModelName::from(model),
        meter,
        quantity,
        rate_id: format!("rate-{model}-{meter}"),
        unit_price: "1.25".to_owned(),
        per: 1_000_000,
        factors: Vec::new(),
        amount: Amount::from_pico(pico),
        rounded: false,
    }
}

/// A settlement of an answer that used so many tokens; output bears no price.
pub(super) fn settlement(number: u128, input: u64, output: u64) -> Settlement {
    let quantities: Quantities =
        [(Meter::Input, input), (Meter::Output, output)].into_iter().collect();
    let charges =
        vec![charge("gpt-5-2025-08-07", Meter::Input, input, i128::from(input) * 1_250_000)];
    let usage = ReportedUsage {
        parts: vec![ModelUsage { model: None, quantities, context_tokens: input }],
        ..ReportedUsage::none(UsageSource::Reported)
    };
    Settlement {
        attempt: attempt(number),
        ended_at: START.plus_micros(1_500_000),
        outcome: Outcome::Completed,
        status: Some(200),
        error: None,
        first_byte_us: Some(400_000),
        duration_us: 1_500_000,
        response_bytes: 2_000,
        model_served: Some("gpt-5-2025-08-07".into()),
        provider_request_id: Some("req_same".to_owned()),
        provider_response_id: Some("chatcmpl-same".to_owned()),
        account: PayingAccount { project: Some("proj_1".to_owned()), ..PayingAccount::default() },
        usage,
        billing_class: BillingClass::Billed,
        valuation: Valuation {
            status: ValuationStatus::PartiallyPriced,
            total: Some(charges.iter().map(|it| it.amount).sum()),
            charges,
            unpriced: vec![Unpriced {
                model: "gpt-5-2025-08-07".into(),
                meter: Meter::Output,
                quantity: 20,
                reason: UnpricedReason::Meter,
            }],
            currency: Currency::USD,
            price_version: "table-1".to_owned(),
            engine: "test".to_owned(),
        },
    }
}

/// The entry of an intent.
pub(super) fn sent(intent: Intent) -> Entry {
    Entry::Intent(Box::new(intent))
}

/// The entry of a settlement.
pub(super) fn settled(settlement: Settlement) -> Entry {
    Entry::Settlement(Box::new(settlement))
}

/// The entry of a correction.
pub(super) fn corrected(settlement: Settlement) -> Entry {
    let (reason, actor) = ("usage arrived later".to_owned(), "test".to_owned());
    Entry::Correction(Box::new(Correction { reason, actor, settlement }))
}
