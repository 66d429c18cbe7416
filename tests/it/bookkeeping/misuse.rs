//! Commands typed wrongly, folders that are not what they should be: one clear line, never a panic.

use std::path::Path;

use crate::bookkeeping::house::{House, Ran, cost, program};
use crate::invoice_files::fixtures;

/// One line, an exit code, no panic.
fn refused(ran: &Ran, code: i32, said: &str) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert!(ran.err.contains(said), "{said:?}: {ran:?}");
    assert!(!ran.err.contains("panicked") && ran.out.is_empty(), "{ran:?}");
    if code == 1 {
        assert_eq!(ran.err.lines().count(), 1, "{ran:?}");
    }
}

fn imported() -> House {
    let house = House::new();
    house.imported(&house.file("cost.csv", cost(&[(1, "1", "gpt-5, input")])));
    house
}

#[test]
fn what_cannot_be_read_is_named() {
    let house = House::new();
    let import = |file: &Path| house.run(["import".as_ref(), file.as_os_str()]);
    refused(&import(Path::new("missing.csv")), 1, "missing.csv: the file could not be read");
    refused(&import(house.folder.path()), 1, "directory");
    refused(&import(Path::new("/dev/null")), 1, "empty");
    refused(&house.run(["import"]), 2, "required");
}

#[test]
fn a_command_over_books_that_are_not_there_makes_none() {
    let house = House::new();
    for words in [&["reconcile", "openai", "2026-10"][..], &["withdraw", "a batch"]] {
        refused(&house.run(words), 1, "holds no books; give the folder");
        assert!(!house.data().exists(), "{words:?} made a folder");
    }
}

#[test]
fn a_data_folder_that_is_a_file_is_said_to_be_none() {
    let house = House::new();
    let file = fixtures().join("reconstructed/anthropic/claude_api_cost_2026_08_14col.csv");
    std::fs::write(house.data(), "a file").unwrap();
    refused(&house.run(["import".as_ref(), file.as_os_str()]), 1, "books.db cannot be made");
}

#[test]
fn mistyped_months_providers_accounts_and_amounts_are_named() {
    let house = imported();
    let reconcile = |words: &[&str]| house.run(["reconcile"].iter().chain(words));
    refused(&reconcile(&["openai", "2026-13"]), 2, "is not a month like 2026-10");
    refused(&reconcile(&["openai", "October"]), 2, "is not a month like 2026-10");
    refused(&reconcile(&["opnai", "2026-10"]), 1, "\"opnai\"");
    refused(&reconcile(&["", "2026-10"]), 1, "anthropic, openai");
    refused(&reconcile(&["openai", "2026-10", "--account", "org-7"]), 1, "org-1");
    let document = |words: &[&str]| reconcile(&[&["openai", "2026-10"][..], words].concat());
    refused(&document(&["--invoice-total", "1,5"]), 1, "write it as 1234.56");
    refused(&document(&["--invoice-total", "1e400"]), 1, "total");
    refused(&document(&["--tax", "1"]), 1, "--invoice-total");
    refused(&document(&["--invoice-total", "1", "--tax", "-1"]), 1, "tax");
    refused(&document(&["--invoice-total", "1", "--credits", "-1"]), 1, "credits");
    refused(&document(&["--prices", "no such file.toml"]), 1, "no such file.toml");
    let credit_note = document(&["--invoice-total", "-1", "--credits", "2"]);
    assert_eq!(credit_note.code, Some(0), "{credit_note:?}");
}

#[test]
fn a_month_without_export_or_attempts_says_so_and_is_no_error() {
    let house = imported();
    let ran = house.run(["reconcile", "anthropic", "2026-10"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.out.contains("There is no export of Anthropic for October 2026"), "{ran:?}");
    let ran = house.run(["reconcile", "openai", "2026-10"]);
    assert!(ran.out.contains("no OpenAI request in the books"), "{ran:?}");
}

#[tokio::test]
async fn books_of_a_newer_program_are_left_alone() {
    let house = imported();
    let books = house.books().await;
    sqlx::query(
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
         VALUES (20990101000000, 'of a later day', 1, x'00', 0)",
    )
    .execute(books.writer())
    .await
    .unwrap();
    books.close().await;
    let file = house.file("more.csv", cost(&[(2, "1", "gpt-5, input")]));
    for ran in [
        house.run(["import".as_ref(), file.as_os_str()]),
        house.run(["reconcile", "openai", "2026-10"]),
        house.run(["withdraw", "a batch"]),
    ] {
        refused(&ran, 1, "newer counterfoil");
    }
}

#[test]
fn a_closed_terminal_ends_nothing_in_a_panic() {
    let house = imported();
    let mut child = house
        .command(["reconcile", "openai", "2026-10", "--json"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(!String::from_utf8_lossy(&ended.stderr).contains("panicked"), "{ended:?}");
    let bare = program().output().unwrap();
    assert_eq!(bare.status.code(), Some(2), "without a command it says how to use it");
}
