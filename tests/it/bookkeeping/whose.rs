//! Whose an export is that names no account: found among the files beside it and in the answers.

use std::io::Write as _;

use counterfoil::bookkeeping::export_file::{ExportBytes, ExportFile, ImportChoice};
use counterfoil::bookkeeping::preview::preview_drop;
use serde_json::json;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::bookkeeping::house::{House, cost, cost_of};
use crate::calls::{Call, Node};

/// An OpenAI usage export, which names projects and no organization.
const USAGE: &str = "start_time,end_time,start_time_iso,project_id,num_model_requests,model,batch,\
                     service_tier,input_tokens,output_tokens,input_cached_tokens,\
                     input_uncached_tokens\n\
                     1790812800,1790899200,2026-10-01T00:00:00+00:00,proj_1,1.0,gpt-5-2025-08-07,\
                     False,default,1000000.0,0.0,0.0,1000000.0\n";

fn costs() -> String {
    cost(&[(1, "1.25", "gpt-5-2025-08-07, input")])
}

#[test]
fn a_usage_export_goes_to_the_account_its_cost_export_names_in_whatever_order() {
    let house = House::new();
    let usage = house.file("completions_usage.csv", USAGE);
    let costs = house.file("cost.csv", costs());
    let (listed, ran) = house.import(&[&usage, &costs], &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let accounts: Vec<_> = listed.iter().map(|one| (&one["file"], &one["account"])).collect();
    let expected =
        [(&json!("completions_usage.csv"), &json!("org-1")), (&json!("cost.csv"), &json!("org-1"))];
    assert_eq!(accounts, expected, "in the order given, of one account");
    assert_eq!(house.report("openai", "2026-10", &[])["account"], "org-1");
}

#[test]
fn parts_of_a_zip_share_the_account_one_of_them_names() {
    let mut archive = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in [("a_usage.csv", USAGE), ("b_cost.csv", costs().as_str())] {
        archive.start_file(name, SimpleFileOptions::default()).unwrap();
        archive.write_all(text.as_bytes()).unwrap();
    }
    let house = House::new();
    let both = house.file("both.zip", archive.finish().unwrap().into_inner());
    let (listed, ran) = house.import(&[&both], &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(listed.iter().all(|one| one["account"] == "org-1"), "{listed:?}");
}

#[tokio::test]
async fn a_preview_of_both_shows_one_account_and_asks_where_there_are_two() {
    let house = House::new();
    let books = house.books().await;
    let file = |name: &str, text: &str| ExportFile {
        name: name.to_owned(),
        bytes: ExportBytes::Memory(text.as_bytes().to_vec().into()),
    };
    let (usage, costs) = (file("usage.csv", USAGE), file("cost.csv", &costs()));
    let other = file("other.csv", &cost_of("org-2", &[(1, "1", "gpt-5, input")]));
    let account = async |files: &[ExportFile]| {
        let now = "2026-11-05T09:00:00Z".parse().unwrap();
        let seen = preview_drop(&books, files, &ImportChoice::default(), now).await;
        seen.into_iter().flatten().flatten().next().unwrap().account
    };
    let both = [usage, costs, other];
    assert_eq!(account(&both[..2]).await.as_deref(), Some("org-1"));
    assert_eq!(account(&both).await, None, "a person says which");
    books.close().await;
}

#[tokio::test]
async fn a_usage_export_alone_goes_to_the_only_organization_the_answers_named() {
    let house = House::new();
    let books = house.books().await;
    let mut node = Node::new(&books);
    node.call(Call { organization: Some("org-1"), ..Call::default() });
    node.post().await;
    books.close().await;
    let usage = house.file("completions_usage.csv", USAGE);
    assert_eq!(house.imported(&usage)["account"], "org-1");
    let costs = house.file("cost.csv", costs());
    assert_eq!(house.imported(&costs)["account"], "org-1");
    let report = house.report("openai", "2026-10", &[]);
    assert_eq!((&report["account"], &report["agrees"]), (&json!("org-1"), &json!(true)));
}
