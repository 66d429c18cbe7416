//! Anthropic's Console exports: cost rows rounded to the cent, token rows in disjoint columns.

use crate::invoice::dates::{BucketWidth, utc_day_or_hour};
use crate::invoice::header::Header;
use crate::invoice::line::{
    AmountPrecision, BilledDimensions, BilledLine, ChargeCategory, UsageRow,
};
use crate::invoice::numbers::{self, DecimalMark};
use crate::invoice::record::{RawCells, Reading};
use crate::invoice::refusal::RowFault;
use crate::invoice::summary::Noticed;
use crate::meter::{Meter, Quantities};
use crate::money::Currency;
use crate::period::ChargePeriod;

/// Decimals the Console prints; fewer means that something between cut or reformatted the cell.
pub const CONSOLE_DECIMALS: u32 = 2;

/// The columns both exports share.
#[derive(Debug)]
struct Shared {
    date: Option<usize>,
    workspace: Option<usize>,
    api_key: Option<usize>,
    api_key_id: Option<usize>,
    usage_type: Option<usize>,
    context_window: Option<usize>,
    inference_geo: Option<usize>,
    speed: Option<usize>,
    mark: DecimalMark,
    last: Option<(String, ChargePeriod, BucketWidth)>,
}

/// Reads the rows of a cost export, of any of its seven headers.
#[derive(Debug)]
pub struct CostRows {
    shared: Shared,
    model: Option<usize>,
    token_type: Option<usize>,
    cost: Option<usize>,
    list_price: Option<usize>,
    cost_type: Option<usize>,
}

/// Reads the rows of a tokens export, daily or hourly.
#[derive(Debug)]
pub struct TokenRows {
    shared: Shared,
    model: Option<usize>,
    columns: Vec<(Option<usize>, Meter)>,
}

impl Shared {
    fn new(header: &Header) -> Self {
        let column = |name: &str| header.column(name);
        Self {
            date: column("usage_date_utc"),
            workspace: column("workspace"),
            api_key: column("api_key"),
            api_key_id: column("api_key_id"),
            usage_type: column("usage_type"),
            context_window: column("context_window"),
            inference_geo: column("inference_geo"),
            speed: column("speed"),
            mark: header.decimal_mark(),
            last: None,
        }
    }

    fn period(&mut self, cells: RawCells<'_>) -> Result<(ChargePeriod, BucketWidth), RowFault> {
        let raw = cells.raw(self.date);
        if let Some((known, period, width)) = &self.last
            && known == raw
        {
            return Ok((*period, *width));
        }
        let (period, width) =
            utc_day_or_hour(raw).map_err(|why| RowFault::of(cells.name(self.date), why))?;
        self.last = Some((raw.to_owned(), period, width));
        Ok((period, width))
    }

    fn dimensions(&self, row: u64, cells: RawCells<'_>, noticed: &mut Noticed) -> BilledDimensions {
        let long_context = cells.text(self.context_window).and_then(|band| {
            let long = is_long_context(band);
            if long.is_none() {
                noticed.once("a context window that is not known: left open", row);
            }
            long
        });
        BilledDimensions {
            workspace: cells.owned(self.workspace),
            key_id: cells.owned(self.api_key_id),
            key_name: cells.owned(self.api_key),
            long_context,
            region: cells.owned(self.inference_geo),
            speed: cells.owned(self.speed),
            ..BilledDimensions::default()
        }
    }
}

/// `≤ 200k` and `0-200k` are the short band, `> 200k` and `200k-1M` the long one.
fn is_long_context(band: &str) -> Option<bool> {
    let band: String = band.chars().filter(|letter| !letter.is_whitespace()).collect();
    if band.starts_with('≤') || band.starts_with("<=") || band.starts_with("0-") {
        Some(false)
    } else if band.starts_with('>') || band.starts_with("200k-") {
        Some(true)
    } else {
        None
    }
}

impl CostRows {
    /// Finds the columns.
    pub fn new(header: &Header) -> Self {
        let column = |name: &str| header.column(name);
        Self {
            shared: Shared::new(header),
            model: column("model"),
            token_type: column("token_type"),
            cost: column("cost_usd"),
            list_price: column("list_price_usd"),
            cost_type: column("cost_type"),
        }
    }

    /// Reads one row.
    ///
    /// # Errors
    /// A fault that names the column.
    pub fn read(
        &mut self,
        row: u64,
        cells: RawCells<'_>,
        noticed: &mut Noticed,
    ) -> Result<Reading, RowFault> {
        let (period, _) = self.shared.period(cells)?;
        let dollars = |column| {
            numbers::amount(cells.raw(column), self.shared.mark, Some(Currency::USD))
                .map_err(|why| RowFault::of(cells.name(column), why))
        };
        let cost = dollars(self.cost)?;
        let list_cost = match cells.text(self.list_price) {
            Some(_) => Some(dollars(self.list_price)?.value),
            None => None,
        };
        let token_type = cells.text(self.token_type);
        let cost_type = cells.text(self.cost_type);
        let meter = meter_of(token_type, cost_type);
        if meter.is_none() {
            noticed.once("a token type that names no meter: its money stays unmapped", row);
        }
        let mut dimensions = self.shared.dimensions(row, cells, noticed);
        if let Some(usage_type) = cells.text(self.shared.usage_type) {
            let batch = usage_type.eq_ignore_ascii_case("batch");
            dimensions.batch = Some(batch);
            dimensions.service_tier = batch.then(|| "batch".to_owned());
        }
        let model = cells.owned(self.model);
        Ok(Reading::Line(BilledLine {
            row,
            period,
            category: category_of(cost_type, cost.value.is_sign_negative()),
            description: description(model.as_deref(), token_type.or(cost_type)),
            billed_cost: cost.value,
            list_cost,
            currency: Currency::USD,
            precision: if cost.decimals <= CONSOLE_DECIMALS {
                AmountPrecision::HalfUp
            } else {
                AmountPrecision::Unknown
            },
            // A spreadsheet drops trailing zeros; the Console rounds at two decimals all the same.
            shown_decimals: cost.decimals.max(CONSOLE_DECIMALS),
            quantity: None,
            model,
            meter,
            dimensions,
        }))
    }
}

/// Model and token type, as the row spells them.
fn description(model: Option<&str>, what: Option<&str>) -> String {
    match (model, what) {
        (Some(model), Some(what)) => format!("{model}, {what}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => String::new(),
    }
}

fn category_of(cost_type: Option<&str>, negative: bool) -> ChargeCategory {
    let said = cost_type.unwrap_or_default().to_ascii_lowercase();
    if said.contains("credit") || said.contains("grant") {
        ChargeCategory::Credit
    } else if said.contains("tax") {
        ChargeCategory::Tax
    } else if negative || said.contains("adjustment") || said.contains("refund") {
        ChargeCategory::Adjustment
    } else if said.contains("fee") || said.contains("minimum") || said.contains("commit") {
        ChargeCategory::Purchase
    } else {
        ChargeCategory::Usage
    }
}

/// The Console's words and the cost report's for the same classes; they exclude each other.
fn meter_of(token_type: Option<&str>, cost_type: Option<&str>) -> Option<Meter> {
    match token_type {
        Some("input_no_cache" | "uncached_input_tokens" | "input") => Some(Meter::Input),
        Some("input_cache_read" | "cache_read_input_tokens") => Some(Meter::InputCacheRead),
        Some("input_cache_write") => Some(Meter::InputCacheWrite),
        Some("input_cache_write_5m" | "cache_creation.ephemeral_5m_input_tokens") => {
            Some(Meter::InputCacheWrite5m)
        }
        Some("input_cache_write_1h" | "cache_creation.ephemeral_1h_input_tokens") => {
            Some(Meter::InputCacheWrite1h)
        }
        Some("output" | "output_tokens") => Some(Meter::Output),
        Some("web_search") => Some(Meter::WebSearch),
        None if cost_type == Some("web_search") => Some(Meter::WebSearch),
        Some(_) | None => None,
    }
}

impl TokenRows {
    /// Finds the columns.
    pub fn new(header: &Header) -> Self {
        let column = |name: &str| header.column(name);
        Self {
            shared: Shared::new(header),
            model: column("model_version"),
            columns: vec![
                (column("usage_input_tokens_no_cache"), Meter::Input),
                (column("usage_input_tokens_cache_write"), Meter::InputCacheWrite),
                (column("usage_input_tokens_cache_write_5m"), Meter::InputCacheWrite5m),
                (column("usage_input_tokens_cache_write_1h"), Meter::InputCacheWrite1h),
                (column("usage_input_tokens_cache_read"), Meter::InputCacheRead),
                (column("usage_output_tokens"), Meter::Output),
                (column("web_search_count"), Meter::WebSearch),
            ],
        }
    }

    /// Reads one row.
    ///
    /// # Errors
    /// A fault that names the column.
    pub fn read(
        &mut self,
        row: u64,
        cells: RawCells<'_>,
        noticed: &mut Noticed,
    ) -> Result<Reading, RowFault> {
        let (period, _) = self.shared.period(cells)?;
        let mut quantities = Quantities::new();
        for (column, meter) in &self.columns {
            if let Some(cell) = cells.text(*column) {
                let atoms = numbers::count(cell, self.shared.mark)
                    .map_err(|why| RowFault::of(cells.name(*column), why))?;
                quantities.add(*meter, atoms);
            }
        }
        if quantities.is_empty() {
            return Err(RowFault::row("every count is blank"));
        }
        let mut dimensions = self.shared.dimensions(row, cells, noticed);
        // The token export's usage type is the service tier: `standard`, `batch`, `priority`.
        let tier = cells.text(self.shared.usage_type).map(str::to_lowercase);
        dimensions.batch = tier.as_deref().map(|tier| tier == "batch");
        dimensions.service_tier = tier;
        let model = cells.owned(self.model);
        Ok(Reading::Usage(UsageRow { row, period, model, quantities, requests: None, dimensions }))
    }
}
