//! The price table at a glance: one line a model, its standard figures side by side.

use std::collections::BTreeSet;

use crate::dashboard::format;
use crate::dashboard::view::encode_text;
use crate::period::Timestamp;
use crate::pricing::price::Price;
use crate::pricing::table::{Lookup, ModelPrices, PricePeriod, PriceTable};

/// A model's standard prices on a day.
pub(crate) struct ModelLine {
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) own: bool,
    pub(crate) link: String,
    /// Input, cache read, cache write for five minutes, output; empty where it has none.
    pub(crate) tokens: [String; 4],
    /// Further meters and circumstances, in words.
    pub(crate) more: String,
    pub(crate) since: String,
}

/// Of whom the lines are wanted.
pub(crate) enum Wanted<'a> {
    /// Every model.
    All,
    /// One provider's.
    Of(&'a str),
    /// Those that attempts name, by provider and name as served.
    Used(&'a BTreeSet<(String, String)>),
}

/// The meters that have a column of their own.
pub(crate) const COLUMNS: [&str; 4] =
    ["input", "input.cache_read", "input.cache_write.5m", "output"];

/// Tokens the columns' prices are for.
const PER: u64 = 1_000_000;

/// One line for each model wanted that has a price at that instant; the newest layer of each.
pub(crate) fn model_lines(
    table: &PriceTable,
    at: Timestamp,
    wanted: &Wanted<'_>,
) -> Vec<ModelLine> {
    let mut lines = Vec::new();
    for (provider, prices) in table.providers() {
        let used: Option<BTreeSet<&str>> = match wanted {
            Wanted::All => None,
            Wanted::Of(only) if *only == provider => None,
            Wanted::Of(_) => continue,
            Wanted::Used(names) => {
                let own = names.iter().filter(|(of, _)| of == provider);
                let found = own.filter_map(|(_, name)| match prices.find(name, at) {
                    Lookup::Found { model, .. } => Some(model.id.as_str()),
                    Lookup::NoPeriod(_) | Lookup::NoModel => None,
                });
                Some(found.collect())
            }
        };
        let is_wanted = |model: &&ModelPrices| {
            let hidden = prices.models.iter().any(|other| {
                other.id == model.id && other.layer > model.layer && other.at(at).is_some()
            });
            !hidden && used.as_ref().is_none_or(|used| used.contains(model.id.as_str()))
        };
        for model in prices.models.iter().filter(is_wanted) {
            if let Some(period) = model.at(at) {
                lines.push(model_line(provider, model, period));
            }
        }
    }
    lines
}

fn model_line(provider: &str, model: &ModelPrices, period: &PricePeriod) -> ModelLine {
    let standard = period.rows.iter().find(|row| row.select.is_empty());
    let prices = standard.and_then(|row| row.bands.first()).map(|band| band.prices.as_slice());
    let prices = prices.unwrap_or_default();
    let figure = |name: &str| {
        let found = prices.iter().find(|(meter, _)| meter.as_str() == name);
        found.map(|(_, price)| per_million(price)).unwrap_or_default()
    };
    let others: Vec<&str> = prices
        .iter()
        .map(|(meter, _)| meter.as_str())
        .filter(|meter| !COLUMNS.contains(meter))
        .collect();
    let circumstances = period.rows.len().saturating_sub(usize::from(standard.is_some()))
        + standard.map_or(0, |row| row.bands.len().saturating_sub(1))
        + period.multipliers.len();
    let mut more = Vec::new();
    if circumstances > 0 {
        more.push(format!("{circumstances} under conditions"));
    }
    match others.as_slice() {
        [] => {}
        [one] => more.push((*one).to_owned()),
        [one, rest @ ..] => more.push(format!("{one} and {} more meters", rest.len())),
    }
    ModelLine {
        provider: provider.to_owned(),
        own: model.layer > 0,
        link: format!(
            "/prices?exact=1&model={}&provider={}",
            encode_text(&model.id),
            encode_text(provider)
        ),
        tokens: COLUMNS.map(figure),
        more: more.join("; "),
        since: period.from.day().to_string(),
        model: model.id.clone(),
    }
}

/// A price for a million, with two decimals at least; one for another number says so.
fn per_million(price: &Price) -> String {
    if price.per != PER {
        return format!("{} per {}", price.unit_price, format::count(price.per));
    }
    let decimals = price.unit_price.split_once('.').map_or(0, |(_, fraction)| fraction.len());
    match decimals {
        0 => format!("{}.00", price.unit_price),
        1 => format!("{}0", price.unit_price),
        _ => price.unit_price.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_used_under_its_dated_name_is_listed_once_with_its_figures() {
        let table = PriceTable::builtin().unwrap();
        let at = "2026-11-21T00:00:00Z".parse().unwrap();
        let name = |name: &str| ("openai".to_owned(), name.to_owned());
        let used = [name("gpt-5-mini-2025-08-07"), name("gpt-5-mini"), name("no-such-model")];
        let lines = model_lines(&table, at, &Wanted::Used(&used.into_iter().collect()));
        let [line] = lines.as_slice() else { panic!("{} lines", lines.len()) };
        assert_eq!(line.model, "gpt-5-mini");
        assert_eq!(line.tokens, ["0.25", "0.025", "", "2.00"]);
        let of = |wanted| model_lines(&table, at, &wanted).len();
        assert_eq!(of(Wanted::All), of(Wanted::Of("openai")) + of(Wanted::Of("anthropic")));
    }
}
