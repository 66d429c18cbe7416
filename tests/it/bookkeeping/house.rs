//! A data folder, the program run over it, and what its books hold afterwards.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use counterfoil::store::books::Books;
use serde_json::Value;
use sqlx::SqlSafeStr as _;
use tempfile::TempDir;

/// Every table an import could leave something in.
pub const TABLES: [&str; 6] = [
    "billed_lines",
    "usage_rows",
    "import_batches",
    "import_days",
    "import_seals",
    "import_withdrawals",
];

/// A folder of its own with books in `data`.
pub struct House {
    pub folder: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl House {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Writes a file to import.
    pub fn file(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// The program over this folder's books.
    pub fn command<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Command {
        let mut command = program();
        command.args(arguments).arg("--data").arg(self.data());
        command
    }

    pub fn run<I: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = I>) -> Ran {
        Ran::of(self.command(arguments).output().unwrap())
    }

    /// Imports files with `--json`; the list, and how it ended.
    pub fn import(&self, files: &[&Path], more: &[&str]) -> (Vec<Value>, Ran) {
        let files = files.iter().map(|file| file.as_os_str());
        let words = ["import", "--json"].iter().chain(more).map(OsStr::new);
        let ran = self.run(words.chain(files));
        assert!(!ran.err.contains("panicked"), "{ran:?}");
        (serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("no list: {ran:?}")), ran)
    }

    /// Imports one file of one part that must go in.
    pub fn imported(&self, file: &Path) -> Value {
        let (mut listed, ran) = self.import(&[file], &[]);
        assert_eq!((ran.code, listed.len()), (Some(0), 1), "{ran:?}");
        listed.remove(0)
    }

    /// The whole report of a month, by the command line.
    pub fn report(&self, provider: &str, period: &str, more: &[&str]) -> Value {
        let words = ["reconcile", provider, period, "--json"];
        let ran = self.run(words.iter().chain(more));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        serde_json::from_str(&ran.out).unwrap()
    }

    pub async fn books(&self) -> Books {
        Books::open(&self.data()).await.unwrap()
    }

    /// Rows of every table an import writes to.
    pub async fn rows(&self) -> BTreeMap<&'static str, i64> {
        let books = self.books().await;
        let mut rows = BTreeMap::new();
        for table in TABLES {
            rows.insert(table, number(&books, &format!("SELECT COUNT(*) FROM {table}")).await);
        }
        books.close().await;
        rows
    }
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The program, without the surroundings of the test run.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_counterfoil"));
    command.stdin(Stdio::null());
    command
}

pub async fn number(books: &Books, sql: &str) -> i64 {
    let sql = sqlx::AssertSqlSafe(sql.to_owned()).into_sql_str();
    sqlx::query_scalar(sql).fetch_one(books.pool()).await.unwrap()
}

/// One row of an OpenAI cost export: day of October 2026, amount, line item.
pub type CostRow<'a> = (u32, &'a str, &'a str);

/// An OpenAI cost export of organization `org-1`.
pub fn cost(rows: &[CostRow<'_>]) -> String {
    cost_of("org-1", rows)
}

/// The same of another organization; empty for none.
pub fn cost_of(organization: &str, rows: &[CostRow<'_>]) -> String {
    let header = "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,\
                  line_item,project_id,organization_id\n";
    let mut text = header.to_owned();
    for (day, amount, item) in rows {
        let start = 1_790_812_800 + i64::from(day - 1) * 86_400;
        let end = start + 86_400;
        writeln!(
            text,
            "{start},{end},2026-10-{day:02}T00:00:00+00:00,,\
             {amount},usd,\"{item}\",proj_1,{organization}"
        )
        .unwrap();
    }
    text
}

/// The same without any grouping.
pub fn totals(rows: &[(u32, &str)]) -> String {
    let rows: Vec<CostRow<'_>> = rows.iter().map(|(day, amount)| (*day, *amount, "")).collect();
    cost(&rows).replace(",proj_1,", ",,")
}
