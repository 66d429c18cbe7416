//! One page, three faces: HTML, JSON and CSV out of the same struct; and how a page fails.

use askama::Template;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::dashboard::assets::ASSETS;
use crate::dashboard::format;
use crate::dashboard::state::DashboardState;
use crate::store::error::StoreError;

/// Who acts through pages, until there is sign-in.
pub(crate) const ACTOR: &str = "dashboard";

/// How an answer is wanted, by the ending of its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Face {
    /// For people.
    Html,
    /// The whole struct; money as strings.
    Json,
    /// One table of it.
    Csv,
}

/// What surrounds every page.
#[derive(Clone, Debug)]
pub(crate) struct Chrome {
    /// Title of the window.
    pub title: String,
    /// Path of the navigation's current entry.
    pub here: &'static str,
    /// A line above everything, such as the demo's.
    pub banner: Option<String>,
    /// Path of the style sheet.
    pub style: &'static str,
    /// Path of the script.
    pub script: &'static str,
    /// When the page was made, with its zone.
    pub made_at: String,
    /// Address of the JSON twin.
    pub json: String,
    /// Address of the CSV twin, empty where the page has no table.
    pub csv: String,
}

/// A table as CSV prints it.
#[derive(Clone, Debug, Default)]
pub(crate) struct CsvTable {
    /// File name without ending.
    pub name: String,
    /// Column names.
    pub header: Vec<&'static str>,
    /// Rows.
    pub rows: Vec<Vec<CsvCell>>,
}

/// A cell of a CSV twin.
#[derive(Clone, Debug)]
pub(crate) enum CsvCell {
    /// Text from anywhere: defused, so that a spreadsheet does not run it.
    Text(String),
    /// A number of ours, kept as it is.
    Number(String),
}

/// What can be shown.
pub(crate) trait Page: Template + Serialize {
    /// The table of that name, or the page's main table.
    fn csv(&self, table: Option<&str>) -> CsvTable;
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PageError {
    /// Nothing of that name in the books.
    #[error("{0}")]
    NotFound(String),
    /// The address or form says what cannot be read.
    #[error("{0}")]
    NotUnderstood(String),
    /// What the form speaks of is not as it was when its page was made.
    #[error("{0}")]
    Changed(String),
    /// The books did not answer.
    #[error(transparent)]
    Books(#[from] StoreError),
    /// A template failed.
    #[error("the page could not be written: {0}")]
    Template(#[from] askama::Error),
    /// JSON or CSV failed.
    #[error("the table could not be written: {0}")]
    Twin(String),
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    chrome: Chrome,
    heading: &'static str,
    said: String,
}

impl Face {
    /// Splits the ending off a path segment: `openai.json` is `openai` as JSON.
    pub(crate) fn split(segment: &str) -> (&str, Self) {
        if let Some(stem) = segment.strip_suffix(".json") {
            (stem, Self::Json)
        } else if let Some(stem) = segment.strip_suffix(".csv") {
            (stem, Self::Csv)
        } else {
            (segment, Self::Html)
        }
    }

    /// The face of a whole path.
    pub(crate) fn of(path: &str) -> Self {
        Self::split(path).1
    }
}

impl Chrome {
    /// The surroundings of a page at `path` (without ending) with this query.
    pub(crate) fn new(
        state: &DashboardState,
        title: impl Into<String>,
        here: &'static str,
        path: &str,
        query: &str,
    ) -> Self {
        let stem = if path == "/" { "/overview" } else { path };
        let query = if query.is_empty() { String::new() } else { format!("?{query}") };
        Self {
            title: title.into(),
            here,
            banner: state.banner.clone(),
            style: &ASSETS.style,
            script: &ASSETS.script,
            made_at: format::instant_utc(state.clock.now()),
            json: format!("{stem}.json{query}"),
            csv: format!("{stem}.csv{query}"),
        }
    }
}

/// The answer in the wanted face.
///
/// # Errors
/// [`PageError`] where writing fails.
pub(crate) fn reply<P: Page>(
    face: Face,
    page: &P,
    table: Option<&str>,
) -> Result<Response, PageError> {
    match face {
        Face::Html => Ok(html(page.render()?)),
        Face::Json => {
            let body = serde_json::to_string_pretty(page)
                .map_err(|error| PageError::Twin(error.to_string()))?;
            Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response())
        }
        Face::Csv => csv_reply(&page.csv(table)),
    }
}

/// A rendered template as an answer.
pub(crate) fn html(text: String) -> Response {
    ([(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

/// Go there: the answer to a form.
pub(crate) fn see_other(to: &str) -> Response {
    (StatusCode::SEE_OTHER, [(header::LOCATION, to.to_owned())]).into_response()
}

fn csv_reply(table: &CsvTable) -> Result<Response, PageError> {
    let failed = |error: &dyn std::error::Error| PageError::Twin(error.to_string());
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(&table.header).map_err(|error| failed(&error))?;
    for row in &table.rows {
        writer.write_record(row.iter().map(CsvCell::print)).map_err(|error| failed(&error))?;
    }
    let body = writer.into_inner().map_err(|error| failed(&error))?;
    let disposition = format!("attachment; filename=\"{}.csv\"", table.name);
    let headers = [
        (header::CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, disposition),
    ];
    Ok((headers, body).into_response())
}

impl CsvCell {
    /// Text, empty where there is none.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// A number, empty where it is unknown.
    pub(crate) fn number(number: Option<impl ToString>) -> Self {
        Self::Number(number.map(|number| number.to_string()).unwrap_or_default())
    }

    fn print(&self) -> String {
        match self {
            Self::Number(number) => number.clone(),
            Self::Text(text) if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\0']) => {
                format!("'{text}")
            }
            Self::Text(text) => text.clone(),
        }
    }
}

impl PageError {
    /// The error as a page, or as JSON for a twin.
    pub(crate) fn reply(&self, state: &DashboardState, face: Face) -> Response {
        let (status, heading) = match self {
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "Not in the books"),
            Self::NotUnderstood(_) => (StatusCode::BAD_REQUEST, "That could not be read"),
            Self::Changed(_) => (StatusCode::CONFLICT, "Not done: something changed"),
            Self::Books(_) | Self::Template(_) | Self::Twin(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "The page could not be made")
            }
        };
        let said = self.to_string();
        if face != Face::Html {
            return (status, axum::Json(serde_json::json!({ "error": said }))).into_response();
        }
        let mut chrome = Chrome::new(state, heading, "", "/", "");
        (chrome.json, chrome.csv) = (String::new(), String::new());
        let html = ErrorPage { chrome, heading, said: said.clone() }.render().unwrap_or(said);
        (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], html).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_a_spreadsheet_would_run_is_defused_and_numbers_are_kept() {
        for bad in ["=1+1", "+1", "-1", "@x", "\tx", "\rx"] {
            assert_eq!(CsvCell::text(bad).print(), format!("'{bad}"));
        }
        assert_eq!(CsvCell::text("gpt-5").print(), "gpt-5");
        assert_eq!(CsvCell::number(Some("-1.5")).print(), "-1.5");
    }

    #[test]
    fn the_ending_of_a_path_chooses_the_face() {
        assert_eq!(Face::split("0190.json"), ("0190", Face::Json));
        assert_eq!(Face::split("gpt-4.1"), ("gpt-4.1", Face::Html));
        assert_eq!(Face::of("/requests.csv"), Face::Csv);
    }
}
