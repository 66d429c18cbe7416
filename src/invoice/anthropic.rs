//! Anthropic's Console exports: cost rows rounded to the cent, token rows in disjoint columns.

use crate::invoice::dates::{BucketWidth, utc_day_or_hour};
use crate::invoice::header::Header;
use crate::invoice::line::{
    AmountPrecision, BilledDimensions, BilledLine, ChargeCategory, UsageRow,
};
use crate::invoice::numbers::{self, DecimalMark};
use crate::invoice::record::{RawCells, Reading, assign};
use crate::invoice::refusal::RowFault;
use crate::invoice::summary::Noticed;
use crate::meter::{Meter, Quantities};
use crate::money::Currency;
use crate::period::ChargePeriod;

/// Decimals the Console prints; fewer means that something between cut or reformatted the cell.
pub(crate) const CONSOLE_DECIMALS: u32 = 2;

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
pub(crate) struct CostRows {
    shared: Shared,
    model: Option<usize>,
    token_type: Option<usize>,
    cost: Option<usize>,
    list_price: Option<usize>,
    cost_type: Option<usize>,
}

/// Reads the rows of a tokens export, daily or hourly.
#[derive(Debug)]
pub(crate) struct TokenRows {
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

    fn dimensions(
        &self,
        row: u64,
        cells: RawCells<'_>,
        noticed: &mut Noticed,
        told: &mut BilledDimensions,
    ) {
        told.long_context = cells.text(self.context_window).and_then(|band| {
            let long = is_long_context(band);
            if long.is_none() {
                noticed.once("a context window that is not known: left open", row);
            }
            long
        });
        if [self.api_key, self.api_key_id].iter().any(|key| looks_rounded(cells.raw(*key))) {
            noticed.once("a key that a spreadsheet turned into a rounded number", row);
        }
        cells.assign(&mut told.workspace, self.workspace);
        cells.assign(&mut told.key_id, self.api_key_id);
        cells.assign(&mut told.key_name, self.api_key);
        cells.assign(&mut told.region, self.inference_geo);
        cells.assign(&mut told.speed, self.speed);
    }
}

/// `1.23457E+19`: what a spreadsheet makes of a long number.
fn looks_rounded(cell: &str) -> bool {
    cell.as_bytes().first().is_some_and(u8::is_ascii_digit) && cell.contains("E+")
}

/// `≤ 200k` and `0-200k` are the short band, `> 200k` and `200k-1M` the long one.
fn is_long_context(band: &str) -> Option<bool> {
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
    pub(crate) fn new(header: &Header) -> Self {
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
    pub(crate) fn read(
        &mut self,
        row: u64,
        cells: RawCells<'_>,
        noticed: &mut Noticed,
        line: &mut BilledLine,
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
        self.shared.dimensions(row, cells, noticed, &mut line.dimensions);
        let batch =
            cells.text(self.shared.usage_type).map(|kind| kind.eq_ignore_ascii_case("batch"));
        line.dimensions.batch = batch;
        assign(&mut line.dimensions.service_tier, (batch == Some(true)).then_some("batch"));
        line.row = row;
        line.period = period;
        line.category = category_of(cost_type, cost.value.is_sign_negative());
        describe(&mut line.description, cells.text(self.model), token_type.or(cost_type));
        line.billed_cost = cost.value;
        line.list_cost = list_cost;
        line.currency = Currency::USD;
        line.precision = if cost.decimals <= CONSOLE_DECIMALS {
            AmountPrecision::HalfUp
        } else {
            AmountPrecision::Unknown
        };
        // A spreadsheet drops trailing zeros; the Console rounds at two decimals all the same.
        line.shown_decimals = cost.decimals.max(CONSOLE_DECIMALS);
        line.quantity = None;
        cells.assign(&mut line.model, self.model);
        line.meter = meter;
        Ok(Reading::Line)
    }
}

/// Model and token type, as the row spells them.
fn describe(description: &mut String, model: Option<&str>, what: Option<&str>) {
    description.clear();
    description.push_str(model.unwrap_or_default());
    if model.is_some() && what.is_some() {
        description.push_str(", ");
    }
    description.push_str(what.unwrap_or_default());
}

fn category_of(cost_type: Option<&str>, negative: bool) -> ChargeCategory {
    if cost_type == Some("token") && !negative {
        return ChargeCategory::Usage;
    }
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
    pub(crate) fn new(header: &Header) -> Self {
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
    pub(crate) fn read(
        &mut self,
        row: u64,
        cells: RawCells<'_>,
        noticed: &mut Noticed,
        usage: &mut UsageRow,
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
        self.shared.dimensions(row, cells, noticed, &mut usage.dimensions);
        // The token export's usage type is the service tier: `standard`, `batch`, `priority`.
        let tier = cells.text(self.shared.usage_type).map(str::to_lowercase);
        usage.dimensions.batch = tier.as_deref().map(|tier| tier == "batch");
        usage.dimensions.service_tier = tier;
        usage.row = row;
        usage.period = period;
        cells.assign(&mut usage.model, self.model);
        usage.quantities = quantities;
        usage.requests = None;
        Ok(Reading::Usage)
    }
}
