//! What the books hold of an attempt, as far as its rollups need it.

use std::collections::HashMap;

use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::ledger::intent::Intent;
use crate::ledger::settlement::Settlement;
use crate::period::Timestamp;
use crate::store::error::StoreError;
use crate::store::read::get;
use crate::store::rows::{stored, word};
use crate::usage::ModelUsage;

/// From the intent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) hour: i64,
    pub(crate) provider: String,
    pub(crate) model: Option<String>,
    pub(crate) credential: String,
    pub(crate) team: String,
    pub(crate) app: String,
}

/// From the settlement that holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) revision: i64,
    pub(crate) model: Option<String>,
    pub(crate) organization: String,
    pub(crate) project: String,
    pub(crate) workspace: String,
    pub(crate) outcome: String,
    pub(crate) usage_source: String,
    pub(crate) billing_class: String,
    pub(crate) duration_us: i64,
    pub(crate) parts: Vec<ModelUsage>,
}

/// From the valuation that holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Valued {
    pub(crate) revision: i64,
    pub(crate) status: String,
    pub(crate) currency: String,
    pub(crate) charges: Vec<Charged>,
}

/// One charge of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Charged {
    pub(crate) model: String,
    pub(crate) meter: String,
    pub(crate) rate_id: String,
    pub(crate) quantity: i64,
    pub(crate) amount: i64,
}

/// An attempt as it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) asked: Option<Asked>,
    pub(crate) ended: Option<Ended>,
    pub(crate) valued: Valued,
    /// Body hash of the first settlement.
    pub(crate) settled_by: Option<String>,
}

const ASKED: &str = "SELECT attempt, started_at, provider, model_requested, credential, team, app FROM intents \
     WHERE attempt IN (SELECT value FROM json_each($1))";

const ENDED: &str = "SELECT s.attempt, s.revision, s.model_served, s.organization, s.project, \
            s.workspace, s.outcome, s.usage_source, s.billing_class, s.duration_us, s.usage_parts, \
            (SELECT body_hash FROM settlements WHERE attempt = s.attempt AND revision = 0) \
                AS settled_by, \
            v.revision AS valuation, v.status, v.currency \
     FROM settlements s \
     LEFT JOIN valuations v ON v.attempt = s.attempt AND v.revision = \
         (SELECT MAX(revision) FROM valuations WHERE attempt = s.attempt) \
     WHERE s.attempt IN (SELECT value FROM json_each($1)) AND s.revision = \
         (SELECT MAX(revision) FROM settlements WHERE attempt = s.attempt)";

const CHARGED: &str = "SELECT c.attempt, c.model, c.meter, c.rate_id, c.quantity, c.amount \
     FROM charges c \
     WHERE c.attempt IN (SELECT value FROM json_each($1)) AND c.revision = \
         (SELECT MAX(revision) FROM valuations WHERE attempt = c.attempt) \
     ORDER BY c.attempt, c.seq";

impl Asked {
    pub(crate) fn of(intent: &Intent) -> Self {
        Self {
            hour: intent.started_at.hour().micros(),
            provider: intent.provider.to_string(),
            model: intent.model_requested.as_ref().map(ToString::to_string),
            credential: intent.credential.as_ref().map_or_else(String::new, |it| it.id.to_string()),
            team: intent.labels.team.clone().unwrap_or_default(),
            app: intent.labels.app.clone().unwrap_or_default(),
        }
    }
}

impl Ended {
    pub(crate) fn of(settlement: &Settlement, revision: i64) -> Self {
        let account = &settlement.account;
        Self {
            revision,
            model: settlement.model_served.as_ref().map(ToString::to_string),
            organization: account.organization.clone().unwrap_or_default(),
            project: account.project.clone().unwrap_or_default(),
            workspace: account.workspace.clone().unwrap_or_default(),
            outcome: word(&settlement.outcome),
            usage_source: word(&settlement.usage.source),
            billing_class: word(&settlement.billing_class),
            duration_us: stored(settlement.duration_us),
            parts: settlement.usage.parts.clone(),
        }
    }
}

/// Reads the states of attempts; one the books do not know has none.
pub(crate) async fn load(
    connection: &mut SqliteConnection,
    attempts: &str,
) -> Result<HashMap<String, State>, StoreError> {
    let mut states: HashMap<String, State> = HashMap::new();
    for row in fetch(connection, ASKED, attempts).await? {
        let started = Timestamp::from_micros(get(&row, "started_at")?);
        let asked = Asked {
            hour: started.hour().micros(),
            provider: get(&row, "provider")?,
            model: get(&row, "model_requested")?,
            credential: get::<Option<String>, _>(&row, "credential")?.unwrap_or_default(),
            team: get::<Option<String>, _>(&row, "team")?.unwrap_or_default(),
            app: get::<Option<String>, _>(&row, "app")?.unwrap_or_default(),
        };
        states.entry(get(&row, "attempt")?).or_default().asked = Some(asked);
    }
    for row in fetch(connection, ENDED, attempts).await? {
        let state = states.entry(get(&row, "attempt")?).or_default();
        state.settled_by = get(&row, "settled_by")?;
        state.valued = Valued {
            revision: get::<Option<i64>, _>(&row, "valuation")?.unwrap_or_default(),
            status: get::<Option<String>, _>(&row, "status")?.unwrap_or_default(),
            currency: get::<Option<String>, _>(&row, "currency")?.unwrap_or_default(),
            charges: Vec::new(),
        };
        state.ended = Some(read_ended(&row)?);
    }
    if states.values().any(|state| state.ended.is_some()) {
        for row in fetch(connection, CHARGED, attempts).await? {
            let state = states.entry(get(&row, "attempt")?).or_default();
            state.valued.charges.push(Charged {
                model: get(&row, "model")?,
                meter: get(&row, "meter")?,
                rate_id: get(&row, "rate_id")?,
                quantity: get(&row, "quantity")?,
                amount: get(&row, "amount")?,
            });
        }
    }
    Ok(states)
}

fn read_ended(row: &SqliteRow) -> Result<Ended, StoreError> {
    let parts: String = get(row, "usage_parts")?;
    Ok(Ended {
        revision: get(row, "revision")?,
        model: get(row, "model_served")?,
        organization: get::<Option<String>, _>(row, "organization")?.unwrap_or_default(),
        project: get::<Option<String>, _>(row, "project")?.unwrap_or_default(),
        workspace: get::<Option<String>, _>(row, "workspace")?.unwrap_or_default(),
        outcome: get(row, "outcome")?,
        usage_source: get(row, "usage_source")?,
        billing_class: get(row, "billing_class")?,
        duration_us: get(row, "duration_us")?,
        parts: serde_json::from_str(&parts).map_err(|_| StoreError::Value {
            what: "usage_parts",
            value: parts.chars().take(80).collect(),
        })?,
    })
}

async fn fetch(
    connection: &mut SqliteConnection,
    sql: &'static str,
    attempts: &str,
) -> Result<Vec<SqliteRow>, StoreError> {
    let rows = sqlx::query(sql).bind(attempts).fetch_all(connection).await;
    rows.map_err(StoreError::database("reading what is posted"))
}
