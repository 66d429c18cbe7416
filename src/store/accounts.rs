//! Who pays: credentials seen, and what people said of them and of names on invoices.

use std::collections::{BTreeMap, BTreeSet};

use crate::period::Timestamp;
use crate::store::books::Books;
use crate::store::error::StoreError;
use crate::store::read::get;

/// A provider key that was used, never the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRecord {
    /// Keyed fingerprint.
    pub credential: String,
    /// Whose key it is.
    pub provider: String,
    /// Its last four characters.
    pub hint: String,
    /// `configured`, `passed_through`, `subscription`.
    pub kind: String,
    /// First use.
    pub first_used: Timestamp,
    /// Last use.
    pub last_used: Timestamp,
}

/// What holds of a subject: attribute to value, the newest word of each; taken-back words left out.
pub(crate) type Remarks = BTreeMap<String, BTreeMap<String, String>>;

/// One thing a person says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark<'a> {
    /// When.
    pub said_at: Timestamp,
    /// Who.
    pub actor: &'a str,
    /// `credential:ID`, `key:PROVIDER/ID`, `project:PROVIDER/ID`, `workspace:PROVIDER/ID`.
    pub subject: &'a str,
    /// `name`, `team`, `tied_to`, `known`.
    pub attribute: &'a str,
    /// Empty takes it back.
    pub value: &'a str,
}

const CREDENTIALS: &str = "SELECT * FROM credentials ORDER BY provider, last_used DESC, credential";
const REMARKS: &str = "
SELECT subject, attribute, value FROM remarks r
WHERE id = (SELECT MAX(id) FROM remarks
            WHERE subject = r.subject AND attribute = r.attribute)";
const SAY: &str = "INSERT INTO remarks (said_at, actor, subject, attribute, value)
VALUES ($1, $2, $3, $4, $5)";

/// Every credential seen.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn credentials(books: &Books) -> Result<Vec<CredentialRecord>, StoreError> {
    let rows = sqlx::query(CREDENTIALS).fetch_all(books.pool()).await;
    let read = |row| {
        Ok(CredentialRecord {
            credential: get(row, "credential")?,
            provider: get(row, "provider")?,
            hint: get(row, "hint")?,
            kind: get(row, "kind")?,
            first_used: Timestamp::from_micros(get(row, "first_used")?),
            last_used: Timestamp::from_micros(get(row, "last_used")?),
        })
    };
    rows.map_err(StoreError::database("credentials"))?.iter().map(read).collect()
}

/// What holds of every subject.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub async fn remarks(books: &Books) -> Result<Remarks, StoreError> {
    let rows = sqlx::query(REMARKS).fetch_all(books.pool()).await;
    let mut all = Remarks::new();
    for row in &rows.map_err(StoreError::database("remarks"))? {
        let value: String = get(row, "value")?;
        if !value.is_empty() {
            all.entry(get(row, "subject")?).or_default().insert(get(row, "attribute")?, value);
        }
    }
    Ok(all)
}

/// Appends a remark; what was said before stays.
///
/// # Errors
/// [`StoreError`] where the books do not take it.
pub async fn say(books: &Books, remark: &Remark<'_>) -> Result<(), StoreError> {
    sqlx::query(SAY)
        .bind(remark.said_at.micros())
        .bind(remark.actor)
        .bind(remark.subject)
        .bind(remark.attribute)
        .bind(remark.value)
        .execute(books.writer())
        .await
        .map_err(StoreError::database("a remark"))?;
    Ok(())
}

const BILLED_NAMES: &str = "
SELECT DISTINCT b.provider, named.kind, named.name
FROM (
    SELECT batch, 'key' AS kind,
           COALESCE(line ->> '$.dimensions.key_id', line ->> '$.dimensions.key_name') AS name
    FROM billed_lines WHERE day >= $1
    UNION SELECT batch, 'project', line ->> '$.dimensions.project_id'
    FROM billed_lines WHERE day >= $1
    UNION SELECT batch, 'workspace', line ->> '$.dimensions.workspace'
    FROM billed_lines WHERE day >= $1
) named
JOIN import_batches b ON b.batch = named.batch
JOIN import_seals s ON s.batch = named.batch
LEFT JOIN import_withdrawals w ON w.batch = named.batch
WHERE named.name IS NOT NULL AND w.batch IS NULL
ORDER BY 1, 2, 3 LIMIT 500";

/// Keys, projects and workspaces that standing imports name from a day on: provider, kind, name.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn billed_names(
    books: &Books,
    since: chrono::NaiveDate,
) -> Result<Vec<(String, String, String)>, StoreError> {
    let rows = sqlx::query(BILLED_NAMES).bind(since.to_string()).fetch_all(books.pool()).await;
    let read = |row| Ok((get(row, "provider")?, get(row, "kind")?, get(row, "name")?));
    rows.map_err(StoreError::database("names on bills"))?.iter().map(read).collect()
}

const SEEN_SCOPES: &str = "
SELECT DISTINCT provider, 'project', project FROM attempt_rollups WHERE project <> ''
UNION SELECT DISTINCT provider, 'workspace', workspace FROM attempt_rollups WHERE workspace <> ''";

/// Projects and workspaces that answers ever named: provider, kind, name.
///
/// # Errors
/// [`StoreError`] where the books do not answer.
pub(crate) async fn seen_scopes(
    books: &Books,
) -> Result<BTreeSet<(String, String, String)>, StoreError> {
    let rows = sqlx::query_as(SEEN_SCOPES).fetch_all(books.pool()).await;
    let rows: Vec<(String, String, String)> =
        rows.map_err(StoreError::database("projects and workspaces seen"))?;
    Ok(rows.into_iter().collect())
}
