//! Sums by hour and by day: moved by what posting changes, rebuilt from the records, and compared.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sqlx::sqlite::SqliteConnection;

use crate::period::DAY_US;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::get;
use crate::store::states::{self, Asked, Ended, State};

/// Attempts read at a time by a rebuild.
const PAGE: i64 = 5_000;

/// A row of `usage_rollups`, or a change to one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct UsageKey {
    hour: i64,
    provider: String,
    model: String,
    credential: String,
    organization: String,
    project: String,
    workspace: String,
    team: String,
    app: String,
    billing_class: String,
    meter: String,
    rate_id: String,
    currency: String,
}

/// A row of `attempt_rollups`, or a change to one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct AttemptKey {
    hour: i64,
    provider: String,
    model: String,
    credential: String,
    organization: String,
    project: String,
    workspace: String,
    team: String,
    app: String,
    outcome: String,
    usage_source: String,
    price_status: String,
    billing_class: String,
}

/// Sums, or changes to sums: (quantity, amount) and (attempts, microseconds).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Rollups {
    usage: BTreeMap<UsageKey, (i128, i128)>,
    attempts: BTreeMap<AttemptKey, (i128, i128)>,
}

#[derive(Serialize)]
struct UsageRow<'a> {
    #[serde(flatten)]
    key: &'a UsageKey,
    quantity: i128,
    amount: i128,
}

#[derive(Serialize)]
struct AttemptRow<'a> {
    #[serde(flatten)]
    key: &'a AttemptKey,
    attempts: i128,
    duration_us: i128,
}

/// The statements on one pair of tables.
struct Tables {
    move_usage: &'static str,
    move_attempts: &'static str,
    sweep_usage: &'static str,
    sweep_attempts: &'static str,
    read_usage: &'static str,
    read_attempts: &'static str,
    clear: [&'static str; 2],
}

/// Writes the statements for a pair of tables, whose time column is named last.
// Sums of two integers: exact, and an overflow is refused by the STRICT column.
macro_rules! tables {
    ($usage:literal, $attempts:literal, $at:literal) => {
        Tables {
            move_usage: concat!(
                "INSERT INTO ", $usage, " (", $at, ", provider, model, credential, \
                     organization, project, workspace, team, app, billing_class, meter, rate_id, \
                     currency, quantity, amount) \
                 SELECT value ->> 'hour', value ->> 'provider', value ->> 'model', \
                     value ->> 'credential', value ->> 'organization', value ->> 'project', \
                     value ->> 'workspace', value ->> 'team', value ->> 'app', \
                     value ->> 'billing_class', value ->> 'meter', value ->> 'rate_id', \
                     value ->> 'currency', value ->> 'quantity', value ->> 'amount' \
                 FROM jsonb_each($1) WHERE true \
                 ON CONFLICT (", $at, ", provider, model, credential, organization, project, \
                     workspace, team, app, billing_class, meter, rate_id, currency) DO UPDATE SET \
                     quantity = ", $usage, ".quantity + excluded.quantity, \
                     amount = ", $usage, ".amount + excluded.amount"
            ),
            move_attempts: concat!(
                "INSERT INTO ", $attempts, " (", $at, ", provider, model, credential, \
                     organization, project, workspace, team, app, outcome, usage_source, \
                     price_status, billing_class, attempts, duration_us) \
                 SELECT value ->> 'hour', value ->> 'provider', value ->> 'model', \
                     value ->> 'credential', value ->> 'organization', value ->> 'project', \
                     value ->> 'workspace', value ->> 'team', value ->> 'app', \
                     value ->> 'outcome', value ->> 'usage_source', value ->> 'price_status', \
                     value ->> 'billing_class', value ->> 'attempts', value ->> 'duration_us' \
                 FROM jsonb_each($1) WHERE true \
                 ON CONFLICT (", $at, ", provider, model, credential, organization, project, \
                     workspace, team, app, outcome, usage_source, price_status, billing_class) \
                 DO UPDATE SET \
                     attempts = ", $attempts, ".attempts + excluded.attempts, \
                     duration_us = ", $attempts, ".duration_us + excluded.duration_us"
            ),
            sweep_usage: concat!(
                "DELETE FROM ", $usage, " WHERE quantity = 0 AND amount = 0 \
                 AND ", $at, " IN (SELECT value FROM jsonb_each($1))"
            ),
            sweep_attempts: concat!(
                "DELETE FROM ", $attempts, " WHERE attempts = 0 \
                 AND ", $at, " IN (SELECT value FROM jsonb_each($1))"
            ),
            read_usage: concat!("SELECT ", $at, " AS hour, * FROM ", $usage),
            read_attempts: concat!("SELECT ", $at, " AS hour, * FROM ", $attempts),
            clear: [concat!("DELETE FROM ", $usage), concat!("DELETE FROM ", $attempts)],
        }
    };
}

const HOURS: Tables = tables!("usage_rollups", "attempt_rollups", "hour");
const DAYS: Tables = tables!("usage_days", "attempt_days", "day");

impl Rollups {
    /// Whether nothing changes.
    pub(crate) fn is_empty(&self) -> bool {
        self.usage.is_empty() && self.attempts.is_empty()
    }

    /// Adds (`sign` 1) or takes away (`sign` -1) what an attempt contributes. Without an intent its
    /// hour is not known, without a settlement there is nothing to add.
    pub(crate) fn add(&mut self, state: &State, sign: i128) {
        let (Some(asked), Some(ended)) = (&state.asked, &state.ended) else { return };
        let model = ended.model.as_ref().or(asked.model.as_ref()).cloned().unwrap_or_default();
        let key = AttemptKey {
            hour: asked.hour,
            provider: asked.provider.clone(),
            model: model.clone(),
            credential: asked.credential.clone(),
            organization: ended.organization.clone(),
            project: ended.project.clone(),
            workspace: ended.workspace.clone(),
            team: asked.team.clone(),
            app: asked.app.clone(),
            outcome: ended.outcome.clone(),
            usage_source: ended.usage_source.clone(),
            price_status: state.valued.status.clone(),
            billing_class: ended.billing_class.clone(),
        };
        let sums = self.attempts.entry(key).or_default();
        sums.0 += sign;
        sums.1 += sign * i128::from(ended.duration_us);
        for charge in &state.valued.charges {
            let names = [&charge.model, &charge.meter, &charge.rate_id];
            let sums = self.usage(asked, ended, names, &state.valued.currency);
            sums.0 += sign * i128::from(charge.quantity);
            sums.1 += sign * i128::from(charge.amount);
        }
        for ((model, meter), quantity) in without_price(state, &model) {
            let names = [&model, &meter, &String::new()];
            self.usage(asked, ended, names, &state.valued.currency).0 += sign * quantity;
        }
    }

    fn usage(
        &mut self,
        asked: &Asked,
        ended: &Ended,
        [model, meter, rate_id]: [&String; 3],
        currency: &str,
    ) -> &mut (i128, i128) {
        let key = UsageKey {
            hour: asked.hour,
            provider: asked.provider.clone(),
            model: model.clone(),
            credential: asked.credential.clone(),
            organization: ended.organization.clone(),
            project: ended.project.clone(),
            workspace: ended.workspace.clone(),
            team: asked.team.clone(),
            app: asked.app.clone(),
            billing_class: ended.billing_class.clone(),
            meter: meter.clone(),
            rate_id: rate_id.clone(),
            currency: currency.to_owned(),
        };
        self.usage.entry(key).or_default()
    }

    /// Drops what came to nothing.
    fn settle(&mut self) {
        self.usage.retain(|_, sums| *sums != (0, 0));
        self.attempts.retain(|_, sums| *sums != (0, 0));
    }

    /// The same changes to the sums by day.
    fn by_day(&self) -> Self {
        let mut days = Self::default();
        for (key, sums) in &self.usage {
            let key = UsageKey { hour: key.hour - key.hour.rem_euclid(DAY_US), ..key.clone() };
            add(days.usage.entry(key).or_default(), *sums);
        }
        for (key, sums) in &self.attempts {
            let key = AttemptKey { hour: key.hour - key.hour.rem_euclid(DAY_US), ..key.clone() };
            add(days.attempts.entry(key).or_default(), *sums);
        }
        days.settle();
        days
    }

    /// Moves the stored sums by these changes.
    pub(crate) async fn apply(
        mut self,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        self.settle();
        self.by_day().apply_to(&DAYS, connection).await?;
        self.apply_to(&HOURS, connection).await
    }

    async fn apply_to(
        &self,
        tables: &Tables,
        connection: &mut SqliteConnection,
    ) -> Result<(), StoreError> {
        if self.is_empty() {
            return Ok(());
        }
        let usage: Vec<UsageRow<'_>> = self
            .usage
            .iter()
            .map(|(key, &(quantity, amount))| UsageRow { key, quantity, amount })
            .collect();
        let attempts: Vec<AttemptRow<'_>> = self
            .attempts
            .iter()
            .map(|(key, &(attempts, duration_us))| AttemptRow { key, attempts, duration_us })
            .collect();
        run(connection, tables.move_usage, &usage).await?;
        run(connection, tables.move_attempts, &attempts).await?;
        // Only what is taken away can leave an empty sum behind.
        let usage_less = usage.iter().filter(|row| row.quantity < 0).map(|row| row.key.hour);
        let attempts_less = attempts.iter().filter(|row| row.attempts < 0).map(|row| row.key.hour);
        let emptied: BTreeSet<i64> = usage_less.chain(attempts_less).collect();
        if !emptied.is_empty() {
            run(connection, tables.sweep_usage, &emptied).await?;
            run(connection, tables.sweep_attempts, &emptied).await?;
        }
        Ok(())
    }

    /// Whether the stored sums are what the records give, in one reading of both.
    pub(crate) async fn compare(connection: &mut SqliteConnection) -> Result<bool, StoreError> {
        let rebuilt = Self::rebuild(connection).await?;
        Ok(Self::stored(&HOURS, connection).await? == rebuilt
            && Self::stored(&DAYS, connection).await? == rebuilt.by_day())
    }

    /// The sums as the records give them.
    async fn rebuild(connection: &mut SqliteConnection) -> Result<Self, StoreError> {
        let mut rebuilt = Self::default();
        let mut after = String::new();
        loop {
            let rows = sqlx::query(
                "SELECT DISTINCT attempt FROM settlements WHERE attempt > $1 ORDER BY attempt LIMIT $2",
            )
            .bind(&after)
            .bind(PAGE)
            .fetch_all(&mut *connection)
            .await
            .map_err(StoreError::database("rebuilding rollups"))?;
            let page: Result<Vec<String>, _> = rows.iter().map(|row| get(row, 0)).collect();
            let page = page?;
            let Some(last) = page.last() else { break };
            after.clone_from(last);
            let list = serde_json::to_string(&page).unwrap_or_default();
            for state in states::load(connection, &list).await?.values() {
                rebuilt.add(state, 1);
            }
        }
        rebuilt.settle();
        Ok(rebuilt)
    }

    /// The sums as they are stored.
    async fn stored(
        tables: &Tables,
        connection: &mut SqliteConnection,
    ) -> Result<Self, StoreError> {
        let mut found = Self::default();
        let failed = StoreError::database("reading rollups");
        let rows = sqlx::query(tables.read_usage).fetch_all(&mut *connection).await;
        for row in rows.map_err(failed)? {
            let key = UsageKey {
                hour: get(&row, "hour")?,
                provider: get(&row, "provider")?,
                model: get(&row, "model")?,
                credential: get(&row, "credential")?,
                organization: get(&row, "organization")?,
                project: get(&row, "project")?,
                workspace: get(&row, "workspace")?,
                team: get(&row, "team")?,
                app: get(&row, "app")?,
                billing_class: get(&row, "billing_class")?,
                meter: get(&row, "meter")?,
                rate_id: get(&row, "rate_id")?,
                currency: get(&row, "currency")?,
            };
            let sums: (i64, i64) = (get(&row, "quantity")?, get(&row, "amount")?);
            found.usage.insert(key, (sums.0.into(), sums.1.into()));
        }
        let failed = StoreError::database("reading rollups");
        let rows = sqlx::query(tables.read_attempts).fetch_all(connection).await;
        for row in rows.map_err(failed)? {
            let key = AttemptKey {
                hour: get(&row, "hour")?,
                provider: get(&row, "provider")?,
                model: get(&row, "model")?,
                credential: get(&row, "credential")?,
                organization: get(&row, "organization")?,
                project: get(&row, "project")?,
                workspace: get(&row, "workspace")?,
                team: get(&row, "team")?,
                app: get(&row, "app")?,
                outcome: get(&row, "outcome")?,
                usage_source: get(&row, "usage_source")?,
                price_status: get(&row, "price_status")?,
                billing_class: get(&row, "billing_class")?,
            };
            let sums: (i64, i64) = (get(&row, "attempts")?, get(&row, "duration_us")?);
            found.attempts.insert(key, (sums.0.into(), sums.1.into()));
        }
        Ok(found)
    }
}

/// Whether every stored sum is what the records give.
///
/// # Errors
/// [`StoreError::Database`] or [`StoreError::Value`].
pub async fn equal_the_records(books: &Books) -> Result<bool, StoreError> {
    let failed = StoreError::database("comparing rollups");
    // One reading transaction, so that posting beside it does not show as a difference.
    let mut transaction = books.pool().begin().await.map_err(failed)?;
    Rollups::compare(&mut transaction).await
}

/// Replaces the stored sums by what the records give.
///
/// # Errors
/// [`StoreError::Database`] or [`StoreError::Value`]; the stored sums are then as they were.
pub async fn rebuild(books: &Books) -> Result<(), StoreError> {
    let failed = || StoreError::database("rebuilding rollups");
    let mut transaction = books.writer().begin_with("BEGIN IMMEDIATE").await.map_err(failed())?;
    let rebuilt = Rollups::rebuild(&mut transaction).await?;
    for sql in HOURS.clear.into_iter().chain(DAYS.clear) {
        sqlx::query(sql).execute(&mut *transaction).await.map_err(failed())?;
    }
    rebuilt.apply(&mut transaction).await?;
    transaction.commit().await.map_err(failed())
}

fn add(sums: &mut (i128, i128), more: (i128, i128)) {
    sums.0 += more.0;
    sums.1 += more.1;
}

/// Quantities that were reported and bear no charge, by model and meter.
fn without_price(state: &State, model: &str) -> BTreeMap<(String, String), i128> {
    let mut left: BTreeMap<(String, String), i128> = BTreeMap::new();
    for part in state.ended.iter().flat_map(|ended| &ended.parts) {
        let model = part.model.as_ref().map_or(model, |named| named.as_str());
        for (meter, atoms) in part.quantities.iter() {
            let key = (model.to_owned(), meter.as_str().to_owned());
            *left.entry(key).or_default() += i128::from(crate::store::rows::stored(atoms));
        }
    }
    for charge in &state.valued.charges {
        let key = (charge.model.clone(), charge.meter.clone());
        *left.entry(key).or_default() -= i128::from(charge.quantity);
    }
    left.retain(|_, quantity| *quantity > 0);
    left
}

async fn run<T: Serialize + ?Sized>(
    connection: &mut SqliteConnection,
    sql: &'static str,
    rows: &T,
) -> Result<(), StoreError> {
    let list = serde_json::to_string(rows)
        .map_err(|error| StoreError::Value { what: "a rollup", value: error.to_string() })?;
    let done = sqlx::query(sql).bind(list).execute(connection).await;
    done.map(drop).map_err(StoreError::database("moving rollups"))
}
