//! What an import promises: everything or nothing, the same bytes once, newer days in place of
//! older ones.

use std::fmt::Write as _;

use bytes::Bytes;
use counterfoil::bookkeeping::export_file::{ExportBytes, ExportFile, ImportChoice, ImportError};
use counterfoil::bookkeeping::import::import;
use counterfoil::bookkeeping::preview::{in_one_drop, preview};
use counterfoil::period::Timestamp;
use counterfoil::store::books::Books;
use counterfoil::store::imports;

const HEADER: &str = "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,\
                      line_item,project_id,organization_id\n";

fn cost(rows: &[(u32, &str, &str)]) -> String {
    rows.iter().fold(HEADER.to_owned(), |text, (day, amount, item)| {
        let start = 1_790_812_800 + i64::from(day - 1) * 86_400;
        text + &format!(
            "{start},{},2026-10-{day:02}T00:00:00+00:00,2026-10-{:02}T00:00:00+00:00,{amount},usd,\
             \"{item}\",proj_1,org-1\n",
            start + 86_400,
            day + 1,
        )
    })
}

fn file(name: &str, text: &str) -> ExportFile {
    ExportFile {
        name: name.to_owned(),
        bytes: ExportBytes::Memory(Bytes::copy_from_slice(text.as_bytes())),
    }
}

fn now() -> Timestamp {
    "2026-11-05T09:00:00Z".parse().unwrap()
}

fn key() -> ImportChoice {
    ImportChoice { account: None, personal_key: b"key of a test".to_vec() }
}

async fn books() -> (tempfile::TempDir, Books) {
    let folder = tempfile::tempdir().unwrap();
    let books = Books::open(folder.path()).await.unwrap();
    (folder, books)
}

async fn number(books: &Books, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(books.pool()).await.unwrap()
}

#[tokio::test]
async fn an_export_is_imported_exactly_and_the_same_bytes_change_nothing() {
    let (_folder, books) = books().await;
    let text =
        cost(&[(1, "0.1000000000000000000000000001", "gpt-5, input"), (2, "2.5", "gpt-5, output")]);
    let done = import(&books, &file("cost.csv", &text), &key(), now()).await.unwrap();
    assert_eq!(done[0].sum.as_deref(), Some("2.6000000000000000000000000001"));
    assert_eq!((done[0].account.as_str(), done[0].rows.billed_lines), ("org-1", 2));
    let again = import(&books, &file("cost.csv", &text), &key(), now()).await.unwrap();
    assert!(again[0].unchanged);
    assert_eq!(again[0].batch, done[0].batch);
    assert_eq!(number(&books, "SELECT COUNT(*) FROM billed_lines").await, 2);
    assert_eq!(number(&books, "SELECT COUNT(*) FROM import_seals").await, 1);
}

#[tokio::test]
async fn a_bad_row_leaves_nothing_behind() {
    let (_folder, books) = books().await;
    let text = cost(&[(1, "1", "gpt-5, input"), (2, "one and a half", "gpt-5, input")]);
    let refused = import(&books, &file("cost.csv", &text), &key(), now()).await.unwrap_err();
    assert!(matches!(&refused, ImportError::Problems { count: 1, .. }), "{refused}");
    assert!(refused.to_string().contains("row 2"), "{refused}");
    for sql in ["SELECT COUNT(*) FROM billed_lines", "SELECT COUNT(*) FROM import_batches"] {
        assert_eq!(number(&books, sql).await, 0);
    }
}

#[tokio::test]
async fn re_exported_days_are_replaced_and_new_days_added() {
    let (_folder, books) = books().await;
    let first = cost(&[(1, "1", "gpt-5, input"), (2, "2", "gpt-5, input")]);
    let old = import(&books, &file("a.csv", &first), &key(), now()).await.unwrap();
    let second = cost(&[(2, "2.25", "gpt-5, input"), (3, "4", "gpt-5, input")]);
    let later = now().plus_micros(1_000_000);
    let seen = preview(&books, &file("b.csv", &second), &key(), later).await.unwrap();
    assert_eq!(seen[0].replaces[0].batch, old[0].batch);
    assert_eq!(
        number(&books, "SELECT COUNT(*) FROM import_seals").await,
        1,
        "a preview stores nothing"
    );
    let new = import(&books, &file("b.csv", &second), &key(), later).await.unwrap();
    assert_eq!(new[0].replaced[0].before, ["2 USD"]);
    assert_eq!(new[0].replaced[0].after, ["2.25 USD"]);
    let (from, until) = ("2026-10-01".parse().unwrap(), "2026-11-01".parse().unwrap());
    let days = imports::speaking_days(&books, from, until).await.unwrap();
    let speaking: Vec<&str> = days.iter().map(|day| day.batch.as_str()).collect();
    assert_eq!(speaking, [&old[0].batch, &new[0].batch, &new[0].batch]);
    let lines = imports::billed_lines(&books, &days).await.unwrap();
    let sums: Vec<String> = lines.iter().map(|line| line.line.billed_cost.to_string()).collect();
    assert_eq!(sums, ["1", "2.25", "4"]);
    assert!(imports::withdraw(&books, &new[0].batch, later, "test", "wrong file").await.unwrap());
    let days = imports::speaking_days(&books, from, until).await.unwrap();
    assert!(days.iter().all(|day| day.batch == old[0].batch));
    assert!(!imports::withdraw(&books, &new[0].batch, later, "test", "again").await.unwrap());
}

#[tokio::test]
async fn totals_by_day_never_replace_lines_and_lines_replace_them() {
    let (_folder, books) = books().await;
    let lines = cost(&[(1, "1", "gpt-5, input")]);
    let totals = cost(&[(1, "1.5", ""), (2, "2", "")]);
    let fine = import(&books, &file("fine.csv", &lines), &key(), now()).await.unwrap();
    let coarse =
        import(&books, &file("total.csv", &totals), &key(), now().plus_micros(1)).await.unwrap();
    assert!(coarse[0].replaced.is_empty());
    let (from, until) = ("2026-10-01".parse().unwrap(), "2026-11-01".parse().unwrap());
    let days = imports::speaking_days(&books, from, until).await.unwrap();
    let speaking: Vec<&str> = days.iter().map(|day| day.batch.as_str()).collect();
    assert_eq!(speaking, [&fine[0].batch, &coarse[0].batch]);
}

#[tokio::test]
async fn an_account_is_asked_for_only_where_several_are_known() {
    let (_folder, books) = books().await;
    let nameless = cost(&[(1, "1", "gpt-5, input")]).replace(",org-1", ",");
    let done = import(&books, &file("a.csv", &nameless), &key(), now()).await.unwrap();
    assert_eq!(done[0].account, "default");
    let second = ImportChoice { account: Some("second".to_owned()), ..key() };
    let other = nameless.replace(",1,usd", ",2,usd");
    import(&books, &file("b.csv", &other), &second, now()).await.unwrap();
    let third = nameless.replace(",1,usd", ",3,usd");
    let asked = import(&books, &file("c.csv", &third), &key(), now()).await.unwrap_err();
    assert!(matches!(asked, ImportError::AccountNeeded { .. }), "{asked}");
    assert_eq!(number(&books, "SELECT COUNT(DISTINCT batch) FROM billed_lines").await, 2);
}

/// Rows of the usage export of the same account.
fn usage(days: &[u32]) -> String {
    let header = "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,\
                  user_id,api_key_id,model,batch,service_tier,input_tokens,output_tokens,\
                  input_cached_tokens,input_audio_tokens,output_audio_tokens\n";
    days.iter().fold(header.to_owned(), |mut text, day| {
        let start = 1_790_812_800 + i64::from(day - 1) * 86_400;
        let (from, until) = (format!("2026-10-{day:02}T00:00:00+00:00"), start + 86_400);
        writeln!(text, "{start},{until},{from},,,1,,,gpt-5,false,default,10,10,0,0,0").unwrap();
        text
    })
}

#[tokio::test]
async fn files_of_one_drop_make_up_for_each_other_and_so_do_imports_of_the_same_days() {
    let (_folder, books) = books().await;
    let costs = cost(&[(1, "1", "gpt-5, input"), (2, "2", "gpt-5, input")]);
    let look = async |name: &str, text: &str| {
        preview(&books, &file(name, text), &key(), now()).await.unwrap().remove(0)
    };
    let mut both = [look("cost.csv", &costs).await, look("usage.csv", &usage(&[2])).await];
    assert!(both.iter().all(|one| one.still_missing.is_some()), "each alone misses the other");
    in_one_drop(&mut both.iter_mut().collect::<Vec<_>>());
    assert!(both.iter().all(|one| one.still_missing.is_none()), "together they miss nothing");
    let mut apart = [look("cost.csv", &costs).await, look("usage.csv", &usage(&[9])).await];
    in_one_drop(&mut apart.iter_mut().collect::<Vec<_>>());
    assert!(apart.iter().all(|one| one.still_missing.is_some()), "they share no day");
    import(&books, &file("cost.csv", &costs), &key(), now()).await.unwrap();
    assert_eq!(look("usage.csv", &usage(&[2])).await.still_missing, None, "imported before");
}
