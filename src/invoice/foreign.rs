//! What is dropped by mistake, called by its name: other providers' exports, API answers, documents.

use std::collections::HashSet;

use crate::invoice::refusal::Refusal;

/// Recognizes another provider's CSV export by its (normalized) column names.
pub(crate) fn foreign_export(names: &[String]) -> Option<&'static str> {
    let set: HashSet<&str> = names.iter().map(String::as_str).collect();
    let has = |wanted: &[&str]| wanted.iter().all(|name| set.contains(name));
    let any = |wanted: &str| names.iter().any(|name| name.starts_with(wanted));
    let named = [
        (
            has(&["start_time", "usage_bytes"]),
            "an OpenAI usage export of vector stores, whose money is in the cost export",
        ),
        (has(&["generation_id", "model_permaslug"]), "an OpenRouter activity export"),
        (has(&["slug", "byok usage"]), "an OpenRouter activity export by day and model"),
        (
            has(&["sku id", "service description"]) && any("cost ("),
            "a Google Cloud billing cost table (Gemini, Vertex AI)",
        ),
        (
            has(&["sku id", "service description"]),
            "a Google Cloud billing report (Gemini, Vertex AI)",
        ),
        (
            has(&["billing_account_id", "usage_start_time"]) || has(&["sku.id", "service.id"]),
            "a Google Cloud billing export from BigQuery",
        ),
        (has(&["chargecategory", "billedcost"]), "a FOCUS cost and usage export"),
        (
            has(&["billedcost", "billingcurrency"])
                || has(&["chargecategory", "chargeperiodstart"]),
            "a FOCUS cost and usage export",
        ),
        (
            has(&["metercategory", "metername"]) || has(&["costinbillingcurrency"]),
            "an Azure cost details export",
        ),
        (has(&["unitofmeasure", "pricingblocksize"]), "an Azure list of pricing units"),
        (
            has(&["line_item_usage_type"]) || has(&["line_item_product_code"]),
            "an AWS Cost and Usage Report (CUR 2.0)",
        ),
        (
            has(&["lineitem/usagetype"]) || has(&["lineitem/productcode"]),
            "an AWS Cost and Usage Report (legacy CUR)",
        ),
        (has(&["wallet_type", "cost", "currency"]), "a DeepSeek cost export"),
        (
            has(&["api_key_name", "type", "price", "amount"]),
            "a DeepSeek amount (token usage) export",
        ),
        (has(&["accelerator_type", "base_model_name"]), "a Fireworks billing metrics export"),
        (has(&["billing_metric", "billing_group"]), "a Mistral billing usage export"),
        (has(&["组织id", "时间范围"]), "a Kimi (Moonshot) bill summary"),
        (has(&["账期(月)"]), "a GLM (Zhipu) monthly bill"),
        (has(&["consumed amount", "input hit amount"]), "a MiMo model usage export"),
        (has(&["consumed amount", "plugin"]), "a MiMo plugin usage export"),
        (
            has(&["request_id", "prompt_tokens", "completion_tokens", "cost_usd"]),
            "a per-request log of another tool (no provider exports this layout)",
        ),
    ];
    named.into_iter().find(|(found, _)| *found).map(|(_, what)| what)
}

/// Recognizes by its first bytes a file that holds no CSV at all.
pub(crate) fn not_csv(prefix: &[u8]) -> Option<Refusal> {
    let text = String::from_utf8_lossy(prefix);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    let refused = |what: &str, advice: &str| {
        Some(Refusal::NotCsv { what: what.into(), advice: advice.into() })
    };
    const MAGIC: &[(&[u8], &str, &str)] = &[
        (
            b"%PDF",
            "a PDF document",
            "enter its total with the reconciliation, and drop the CSV export here",
        ),
        (b"\xD0\xCF\x11\xE0", "an old Excel workbook (xls)", "download the provider's CSV export"),
        (b"PK\x03\x04", "a zip inside an archive", "unpack it first"),
        (b"\x1f\x8b", "a gzip inside an archive", "unpack it first"),
        (b"BZh", "a bzip2 archive", "unpack it first"),
        (b"\xFD7zXZ", "an xz archive", "unpack it first"),
        (b"\x28\xB5\x2F\xFD", "a zstd archive", "unpack it first"),
        (b"7z\xBC\xAF", "a 7z archive", "unpack it first"),
        (b"Rar!", "a rar archive", "unpack it first"),
        (b"PAR1", "a Parquet file", "download the provider's CSV export"),
        (b"SQLite format 3", "a SQLite database", "download the provider's CSV export"),
        (b"\x89PNG", "an image", "download the provider's CSV export"),
        (b"\xFF\xD8\xFF", "an image", "download the provider's CSV export"),
    ];
    for (magic, what, advice) in MAGIC {
        if prefix.starts_with(magic) {
            return refused(what, advice);
        }
    }
    if text.starts_with("version https://git-lfs.github.com/") {
        return refused(
            "a git-LFS pointer, three lines that stand for the file",
            "fetch the file itself (git lfs pull)",
        );
    }
    let lower: String = text.chars().take(400).collect::<String>().to_lowercase();
    if lower.starts_with("<!doctype html") || lower.starts_with("<html") || lower.contains("<html")
    {
        return refused(
            "a web page, often a login page saved in place of the download",
            "sign in and export again",
        );
    }
    if lower.starts_with("<?xml") || lower.starts_with('<') {
        return refused("an XML document", "download the provider's CSV export");
    }
    if text.starts_with(['{', '[']) {
        return json(text);
    }
    None
}

/// Names a JSON text: whose answer it is, or what error it brings.
fn json(text: &str) -> Option<Refusal> {
    let has = |needle: &str| text.contains(needle);
    let foreign = |what: &str, advice: &str| {
        Some(Refusal::Foreign { what: what.into(), advice: advice.into() })
    };
    let openai =
        "; export the CSV from the usage dashboard (Costs grouped by line item, and usage)";
    let anthropic = "; export the Cost and the Tokens CSV from the Console";
    if has("organization.costs.result") {
        return foreign("an answer of OpenAI's costs API (JSON)", openai);
    }
    if has("organization.usage.") {
        return foreign("an answer of OpenAI's usage API (JSON)", openai);
    }
    if has("\"starting_at\"") && has("\"amount\"") {
        return foreign("an answer of Anthropic's cost report API (JSON)", anthropic);
    }
    if has("\"starting_at\"") {
        return foreign("an answer of Anthropic's usage report API (JSON)", anthropic);
    }
    if has("\"model_permaslug\"") {
        return foreign("an answer of OpenRouter's activity API (JSON)", "");
    }
    if has("\"billing_metric\"") || has("\"vibe_usage\"") {
        return foreign("a Mistral billing usage report (JSON)", "");
    }
    if has("\"biz_data\"") {
        return foreign("a DeepSeek usage answer (JSON)", "");
    }
    if has("\"error\"") {
        return Some(Refusal::NotCsv {
            what: "an error answer of an API (JSON)".into(),
            advice: "the download failed; export again".into(),
        });
    }
    let advice = "download the provider's CSV export".into();
    Some(Refusal::NotCsv { what: "a JSON text".into(), advice })
}

/// Names an office document by the entries of its zip.
pub(crate) fn office_document(names: &[String]) -> Option<&'static str> {
    let has = |part: &str| names.iter().any(|name| name.starts_with(part));
    if has("xl/") {
        Some("an Excel workbook (xlsx)")
    } else if has("word/") {
        Some("a Word document")
    } else if has("[Content_Types].xml") {
        Some("an office document")
    } else if has("META-INF/manifest.xml") || (has("mimetype") && has("content.xml")) {
        Some("an OpenDocument file")
    } else if names.iter().any(|name| name.ends_with(".numbers")) || has("Index/Document.iwa") {
        Some("a Numbers spreadsheet")
    } else {
        None
    }
}
