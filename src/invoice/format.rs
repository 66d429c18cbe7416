//! Which export a header belongs to, what its columns are called, and which it may not lack.

use std::fmt;

use serde::Serialize;

use crate::invoice::refusal::Refusal;

/// The exports that are imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExportFormat {
    /// OpenAI dashboard, Costs: exact dollars a UTC day, by line item where grouped so.
    OpenAiCost,
    /// OpenAI dashboard, usage of one capability: quantities, no money.
    OpenAiUsage(UsageCapability),
    /// Either of the two OpenAI exports of a span without any usage: four time columns, and the
    /// bytes do not tell which of the two was exported.
    OpenAiNothingUsed,
    /// Anthropic Console, Cost: dollars rounded to the cent a UTC day, no quantities.
    AnthropicCost,
    /// Anthropic Console, Tokens: quantities a UTC day or hour, no money.
    AnthropicTokens,
}

/// What an OpenAI usage export counts; there is one file for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UsageCapability {
    /// Chat, responses and legacy completions.
    Completions,
    /// Embeddings.
    Embeddings,
    /// Moderations (free).
    Moderations,
    /// Only input tokens: embeddings or moderations, and the file does not tell which.
    InputOnly,
    /// Generated images.
    Images,
    /// Speech made of text, in characters.
    Speech,
    /// Text made of audio, in seconds.
    Transcription,
    /// Code interpreter sessions.
    CodeSessions,
    /// Web searches.
    WebSearches,
    /// File searches.
    FileSearches,
}

/// The side of the books an export belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ExportSide {
    /// Money lines.
    Cost,
    /// Quantities.
    Usage,
    /// Nothing was used, so the file stands for both.
    Either,
}

const OPENAI_TIME: [&str; 4] = ["start_time", "end_time", "start_time_iso", "end_time_iso"];
const OPENAI_COST: &[&str] = &[
    "amount_value",
    "amount_currency",
    "quantity",
    "quantity_unit",
    "line_item",
    "user_id",
    "api_key_id",
    "project_id",
    "organization_id",
    "project_name",
    "organization_name",
    "user_email",
    "api_source",
];
const OPENAI_USAGE: &[&str] = &[
    "project_id",
    "num_model_requests",
    "user_id",
    "api_key_id",
    "model",
    "batch",
    "service_tier",
    "compute_units",
    "input_tokens",
    "output_tokens",
    "input_cached_tokens",
    "input_cache_write_tokens",
    "input_uncached_tokens",
    "input_text_tokens",
    "output_text_tokens",
    "input_cached_text_tokens",
    "input_audio_tokens",
    "input_cached_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "input_cached_image_tokens",
    "output_image_tokens",
    "images",
    "characters",
    "seconds",
    "num_sessions",
    "num_requests",
    "context_level",
    "vector_store_id",
    "sessions",
    "source",
    "size",
    "project_name",
    "organization_id",
    "organization_name",
    "user_email",
];
const ANTHROPIC_COST: &[&str] = &[
    "usage_date_utc",
    "model",
    "workspace",
    "api_key",
    "usage_type",
    "context_window",
    "token_type",
    "cost_usd",
    "list_price_usd",
    "cost_type",
    "inference_geo",
    "speed",
    "api_key_id",
    "api_key_status",
];
const ANTHROPIC_TOKENS: &[&str] = &[
    "usage_date_utc",
    "model_version",
    "api_key",
    "workspace",
    "usage_type",
    "context_window",
    "usage_input_tokens_no_cache",
    "usage_input_tokens_cache_write",
    "usage_input_tokens_cache_write_5m",
    "usage_input_tokens_cache_write_1h",
    "usage_input_tokens_cache_read",
    "usage_output_tokens",
    "web_search_count",
    "inference_geo",
    "speed",
    "api_key_id",
    "api_key_status",
];

impl ExportFormat {
    /// Recognizes a header by its normalized names; the file's name only tells embeddings from
    /// moderations, whose layouts are the same.
    ///
    /// # Errors
    /// [`Refusal::MissingColumn`] where the header is nearly one of ours.
    pub(crate) fn recognize(names: &[String], file_name: &str) -> Result<Option<Self>, Refusal> {
        let has = |name: &str| names.iter().any(|known| known == name);
        let any = |wanted: &[&str]| wanted.iter().any(|name| has(name));
        let format = if has("usage_date_utc") {
            if any(&["model_version"]) || names.iter().any(|name| name.starts_with("usage_input_"))
            {
                Self::AnthropicTokens
            } else if any(&["cost_usd", "token_type", "list_price_usd", "cost_type"]) {
                Self::AnthropicCost
            } else {
                return Ok(None);
            }
        } else if any(&["start_time", "start_time_iso"]) && !has("model_permaslug") {
            match openai(names, file_name) {
                Some(format) => format,
                None => return Ok(None),
            }
        } else {
            return Ok(None);
        };
        for required in format.required() {
            if !has(required) {
                let (what, name) = (format.to_string(), (*required).to_owned());
                return Err(Refusal::MissingColumn { what, name });
            }
        }
        if matches!(format, Self::OpenAiCost | Self::OpenAiUsage(_) | Self::OpenAiNothingUsed) {
            let epochs = has("start_time") && has("end_time");
            let instants = has("start_time_iso") && has("end_time_iso");
            if !(epochs || instants) {
                let name = if has("end_time_iso") { "start_time_iso" } else { "end_time" };
                return Err(Refusal::MissingColumn { what: format.to_string(), name: name.into() });
            }
        }
        Ok(Some(format))
    }

    /// Whether a normalized column name belongs to this export.
    pub(crate) fn knows(self, name: &str) -> bool {
        match self {
            Self::OpenAiCost => OPENAI_TIME.contains(&name) || OPENAI_COST.contains(&name),
            Self::OpenAiUsage(_) => OPENAI_TIME.contains(&name) || OPENAI_USAGE.contains(&name),
            Self::OpenAiNothingUsed => OPENAI_TIME.contains(&name),
            Self::AnthropicCost => ANTHROPIC_COST.contains(&name),
            Self::AnthropicTokens => ANTHROPIC_TOKENS.contains(&name),
        }
    }

    /// Columns without which the export cannot be read.
    fn required(self) -> &'static [&'static str] {
        match self {
            Self::OpenAiCost => &["amount_value", "amount_currency"],
            Self::OpenAiUsage(UsageCapability::Completions) => {
                &["model", "input_tokens", "output_tokens"]
            }
            Self::OpenAiUsage(_) | Self::OpenAiNothingUsed => &[],
            Self::AnthropicCost => &["usage_date_utc", "model", "token_type", "cost_usd"],
            Self::AnthropicTokens => {
                &["model_version", "usage_input_tokens_no_cache", "usage_output_tokens"]
            }
        }
    }

    /// Columns an export can be grouped by before it is downloaded.
    pub(crate) fn grouping_columns(self) -> &'static [&'static str] {
        match self {
            Self::OpenAiCost => &["line_item", "project_id", "api_key_id", "user_id"],
            Self::OpenAiUsage(_) => {
                &["model", "project_id", "api_key_id", "user_id", "batch", "service_tier"]
            }
            Self::OpenAiNothingUsed => &[],
            Self::AnthropicCost => &[
                "model",
                "workspace",
                "api_key",
                "api_key_id",
                "usage_type",
                "context_window",
                "token_type",
                "inference_geo",
                "speed",
            ],
            Self::AnthropicTokens => &[
                "model_version",
                "workspace",
                "api_key",
                "api_key_id",
                "usage_type",
                "context_window",
                "inference_geo",
                "speed",
            ],
        }
    }

    /// The provider, by its name in the books.
    pub(crate) const fn provider(self) -> &'static str {
        match self {
            Self::OpenAiCost | Self::OpenAiUsage(_) | Self::OpenAiNothingUsed => "openai",
            Self::AnthropicCost | Self::AnthropicTokens => "anthropic",
        }
    }

    /// Whether it holds money or quantities.
    pub const fn side(self) -> ExportSide {
        match self {
            Self::OpenAiCost | Self::AnthropicCost => ExportSide::Cost,
            Self::OpenAiUsage(_) | Self::AnthropicTokens => ExportSide::Usage,
            Self::OpenAiNothingUsed => ExportSide::Either,
        }
    }

    /// The name in the books and in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiCost => "openai.cost_csv",
            Self::OpenAiUsage(capability) => match capability {
                UsageCapability::Completions => "openai.usage_csv.completions",
                UsageCapability::Embeddings => "openai.usage_csv.embeddings",
                UsageCapability::Moderations => "openai.usage_csv.moderations",
                UsageCapability::InputOnly => "openai.usage_csv.input_only",
                UsageCapability::Images => "openai.usage_csv.images",
                UsageCapability::Speech => "openai.usage_csv.audio_speeches",
                UsageCapability::Transcription => "openai.usage_csv.audio_transcriptions",
                UsageCapability::CodeSessions => "openai.usage_csv.code_interpreter_sessions",
                UsageCapability::WebSearches => "openai.usage_csv.web_search_calls",
                UsageCapability::FileSearches => "openai.usage_csv.file_search_calls",
            },
            Self::OpenAiNothingUsed => "openai.nothing_used_csv",
            Self::AnthropicCost => "anthropic.cost_csv",
            Self::AnthropicTokens => "anthropic.tokens_csv",
        }
    }
}

/// In words, for messages.
impl fmt::Display for ExportFormat {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::OpenAiCost => "an OpenAI cost export",
            Self::OpenAiUsage(capability) => match capability {
                UsageCapability::Completions => "an OpenAI usage export of completions",
                UsageCapability::Embeddings => "an OpenAI usage export of embeddings",
                UsageCapability::Moderations => "an OpenAI usage export of moderations",
                UsageCapability::InputOnly => "an OpenAI usage export of embeddings or moderations",
                UsageCapability::Images => "an OpenAI usage export of images",
                UsageCapability::Speech => "an OpenAI usage export of speech",
                UsageCapability::Transcription => "an OpenAI usage export of transcription",
                UsageCapability::CodeSessions => "an OpenAI usage export of code sessions",
                UsageCapability::WebSearches => "an OpenAI usage export of web searches",
                UsageCapability::FileSearches => "an OpenAI usage export of file searches",
            },
            Self::OpenAiNothingUsed => "an OpenAI export of a span in which nothing was used",
            Self::AnthropicCost => "an Anthropic cost export",
            Self::AnthropicTokens => "an Anthropic tokens export",
        })
    }
}

impl Serialize for ExportFormat {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// OpenAI's exports all begin with the time columns; what else there is tells them apart.
fn openai(names: &[String], file_name: &str) -> Option<ExportFormat> {
    let has = |name: &str| names.iter().any(|known| known == name);
    let others = names.iter().filter(|name| !OPENAI_TIME.contains(&name.as_str())).count();
    let usage = |capability| Some(ExportFormat::OpenAiUsage(capability));
    if others == 0 {
        return Some(ExportFormat::OpenAiNothingUsed);
    }
    if has("amount_value") || has("amount_currency") || has("line_item") {
        return Some(ExportFormat::OpenAiCost);
    }
    if has("characters") {
        return usage(UsageCapability::Speech);
    }
    if has("seconds") {
        return usage(UsageCapability::Transcription);
    }
    if has("images") {
        return usage(UsageCapability::Images);
    }
    if has("num_sessions") || has("sessions") {
        return usage(UsageCapability::CodeSessions);
    }
    if has("num_requests") && (has("context_level") || has("num_model_requests")) {
        return usage(UsageCapability::WebSearches);
    }
    if has("num_requests") {
        return usage(UsageCapability::FileSearches);
    }
    if has("output_tokens") {
        return usage(UsageCapability::Completions);
    }
    if has("input_tokens") && has("num_model_requests") {
        let file_name = file_name.to_lowercase();
        return usage(if file_name.contains("embedding") {
            UsageCapability::Embeddings
        } else if file_name.contains("moderation") {
            UsageCapability::Moderations
        } else {
            UsageCapability::InputOnly
        });
    }
    None
}

/// Whether a column name speaks of money. Letters that only look Latin are read as what they
/// look like, so that they cannot hide it.
pub(crate) fn looks_like_money(name: &str) -> bool {
    const PARTS: &[&str] =
        &["amount", "cost", "price", "discount", "credit", "currency", "invoice"];
    const WORDS: &[&str] = &[
        "usd",
        "eur",
        "gbp",
        "cny",
        "dollar",
        "dollars",
        "cents",
        "fee",
        "fees",
        "tax",
        "taxes",
        "vat",
        "paid",
        "charge",
        "charges",
        "charged",
        "spend",
        "spent",
        "refund",
        "refunds",
        "billed",
        "balance",
        "rate",
        "adjustment",
        "rebate",
        "surcharge",
        "subtotal",
    ];
    if matches!(name, "cost_center" | "cost_centre" | "credit_type") {
        return false;
    }
    let plain: String = name.chars().map(latin_look).collect();
    PARTS.iter().any(|part| plain.contains(part))
        || plain.contains(['$', '€', '£', '¥'])
        || plain
            .split(|letter: char| !letter.is_ascii_alphanumeric())
            .any(|word| WORDS.contains(&word))
}

/// The Latin letter a Cyrillic or Greek one looks like.
const fn latin_look(letter: char) -> char {
    match letter {
        'а' | 'α' => 'a',
        'с' | 'ϲ' => 'c',
        'ԁ' => 'd',
        'е' | 'ε' => 'e',
        'і' | 'ι' => 'i',
        'о' | 'ο' => 'o',
        'р' | 'ρ' => 'p',
        'ѕ' => 's',
        'т' | 'τ' => 't',
        'υ' | 'у' => 'u',
        'х' | 'χ' => 'x',
        other => other,
    }
}
