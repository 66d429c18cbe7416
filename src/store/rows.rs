//! Rows as they are inserted: many in one statement, columns named once.

use serde::Serialize;
use sqlx::sqlite::{SqliteArguments, SqliteConnection};
use sqlx::{AssertSqlSafe, Sqlite};

use crate::store::error::StoreError;

/// Rows of one statement, most first: few statements to prepare, and few to run.
const AT_ONCE: [usize; 3] = [64, 8, 1];

/// A statement that waits for its values.
type Statement = sqlx::query::Query<'static, Sqlite, SqliteArguments>;

/// What is inserted into a table as it is.
pub(crate) trait Row: Sized {
    /// The table.
    const TABLE: &'static str;
    /// Its columns, in the order their values are bound.
    const COLUMNS: &'static [&'static str];

    /// Binds the values of this row after those of others.
    fn bind_to(self, statement: Statement) -> Statement;
}

/// Inserts rows. One whose key is there already is left as it is: delivering twice is no error.
///
/// The values are bound one by one. A batch as one JSON document took a fifth more memory under
/// load, and as long.
pub(crate) async fn insert<T: Row>(
    connection: &mut SqliteConnection,
    rows: Vec<T>,
) -> Result<(), StoreError> {
    let mut rows = rows.into_iter();
    for count in AT_ONCE {
        while rows.len() >= count {
            let mut statement = sqlx::query(AssertSqlSafe(insert_statement::<T>(count)));
            for row in rows.by_ref().take(count) {
                statement = row.bind_to(statement);
            }
            let done = statement.execute(&mut *connection).await;
            done.map_err(StoreError::database("posting rows"))?;
        }
    }
    Ok(())
}

fn insert_statement<T: Row>(rows: usize) -> String {
    // Without numbers: SQLite looks a numbered one up by its name, which many rows make slow.
    let row = format!("({})", vec!["?"; T::COLUMNS.len()].join(", "));
    let (table, columns, values) = (T::TABLE, T::COLUMNS.join(", "), vec![row; rows].join(", "));
    format!("INSERT INTO {table} ({columns}) VALUES {values} ON CONFLICT DO NOTHING")
}

/// Declares a row, and the statement that compares a JSON array of them with the table.
macro_rules! rows {
    ($(#[$doc:meta])* $name:ident in $table:literal {
        $first:ident: $first_type:ty, $($column:ident: $type:ty,)*
    }) => {
        $(#[$doc])*
        #[derive(Debug, Serialize)]
        pub(crate) struct $name {
            pub(crate) $first: $first_type,
            $(pub(crate) $column: $type,)*
        }

        impl $name {
            /// Lists which of the rows offered do not stand in the table as they are.
            pub(crate) const DIFFERING: &str = concat!(
                "SELECT value ->> '", stringify!($first), "' FROM jsonb_each($1) WHERE NOT EXISTS \
                 (SELECT 1 FROM ", $table, " AS posted WHERE posted.", stringify!($first),
                " = value ->> '", stringify!($first), "'",
                $(" AND posted.", stringify!($column), " IS value ->> '", stringify!($column), "'",)*
                ")"
            );
        }

        impl Row for $name {
            const TABLE: &'static str = $table;
            const COLUMNS: &'static [&'static str] =
                &[stringify!($first), $(stringify!($column),)*];

            fn bind_to(self, statement: Statement) -> Statement {
                statement.bind(self.$first)$(.bind(self.$column))*
            }
        }
    };
}

rows! {
    /// See the table's own words in the schema, here and below.
    IntentRow in "intents" {
        attempt: String, request: String, ordinal: u32, node: String, boot: i64, n: i64,
        started_at: i64, provider: String, endpoint: String, method: String, path: String,
        model_requested: Option<String>, stream: bool, credential: Option<String>,
        caller: Option<String>, team: Option<String>, app: Option<String>,
        end_user: Option<String>, tags: String, label_source: String, max_output: Option<i64>,
        request_bytes: i64, price_version: String, reservation: Option<String>,
        prev_hash: String, hash: String,
    }
}

rows! {
    SettlementRow in "settlements" {
        attempt: String, revision: i64, reason: Option<String>, actor: Option<String>,
        node: String, boot: i64, n: i64, ended_at: i64, outcome: String,
        http_status: Option<u16>, error: Option<String>, first_byte_us: Option<i64>,
        duration_us: i64, response_bytes: i64, model_served: Option<String>,
        provider_request_id: Option<String>, provider_response_id: Option<String>,
        organization: Option<String>, project: Option<String>, workspace: Option<String>,
        usage_source: String, usage_raw: Option<String>, usage_flags: String, conditions: String,
        usage_parts: String, reported_cost: Option<String>, billing_class: String,
        body_hash: String, prev_hash: String, hash: String,
    }
}

rows! {
    ConflictRow in "settlement_conflicts" {
        node: String, boot: i64, n: i64, attempt: String, body: String, hash: String,
    }
}

rows! {
    ValuationRow in "valuations" {
        attempt: String, revision: i64, reason: String, status: String, currency: String,
        total: Option<i64>, unpriced: String, price_version: String, engine: String,
        valued_at: i64,
    }
}

rows! {
    ChargeRow in "charges" {
        attempt: String, revision: i64, seq: i64, model: String, meter: String, quantity: i64,
        rate_id: String, unit_price: String, per: i64, factors: String, amount: i64,
        rounded: bool,
    }
}

rows! {
    CountRow in "counts" {
        attempt: String, node: String, boot: i64, n: i64, counted_at: i64, input: Option<i64>,
        output: Option<i64>, method: String, encoding: String, basis: String,
        estimated_parts: String, prev_hash: String, hash: String,
    }
}

rows! {
    GapRow in "coverage_gaps" {
        node: String, n: i64, boot: i64, from_at: i64, to_at: i64, at_most: Option<i64>,
        reason: String, prev_hash: String, hash: String,
    }
}

/// Who pays, with the span in which it was seen. Unlike the others, a later one widens the span.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CredentialRow {
    pub(crate) credential: String,
    pub(crate) provider: String,
    pub(crate) hint: String,
    pub(crate) kind: String,
    pub(crate) first_used: i64,
    pub(crate) last_used: i64,
}

impl CredentialRow {
    pub(crate) const UPSERT: &str = "INSERT INTO credentials (credential, provider, hint, kind, first_used, last_used) \
         SELECT value ->> 'credential', value ->> 'provider', value ->> 'hint', value ->> 'kind', \
                value ->> 'first_used', value ->> 'last_used' FROM jsonb_each($1) WHERE true \
         ON CONFLICT (credential) DO UPDATE SET \
             first_used = CASE WHEN excluded.first_used < credentials.first_used \
                               THEN excluded.first_used ELSE credentials.first_used END, \
             last_used = CASE WHEN excluded.last_used > credentials.last_used \
                              THEN excluded.last_used ELSE credentials.last_used END";
}

/// What a database integer can hold of a quantity; more than 9 × 10¹⁸ of anything was never there.
pub(crate) fn stored(quantity: u64) -> i64 {
    i64::try_from(quantity).unwrap_or(i64::MAX)
}

/// The word an enum of the ledger is written with, in the journal and in the books alike.
pub(crate) fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        other => format!("{other:?}"),
    }
}

/// A list or map as the books keep it.
pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_else(|error| format!("\"{error}\""))
}
