//! One name for a model however the bill spells it: given aliases, display names, dated snapshots.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::ModelName;

/// The billed spelling as a model id: `Claude Opus 4.8` becomes `claude-opus-4-8`,
/// `Claude 3.5 Sonnet 2024-10-22` becomes `claude-3-5-sonnet-20241022`. An id stays as it is.
pub fn model_id(spelling: &str) -> String {
    let trimmed = spelling.trim();
    let is_display_name = trimmed.contains(' ') || trimmed.chars().any(char::is_uppercase);
    if !is_display_name {
        return trimmed.to_owned();
    }
    let words = trimmed.split_whitespace().map(|word| match compact_date(word) {
        Some(date) => date,
        None => word.to_lowercase().replace('.', "-"),
    });
    words.collect::<Vec<_>>().join("-")
}

/// A model id without its snapshot date (`-2024-07-18` or `-20241022`).
pub fn undated(id: &str) -> &str {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((base, last)) = id.rsplit_once('-') {
        if last.len() == 8 && digits(last) {
            return base;
        }
        let mut parts = id.rsplitn(4, '-');
        let (day, month, year) = (parts.next(), parts.next(), parts.next());
        if let (Some(day), Some(month), Some(year), Some(base)) = (day, month, year, parts.next()) {
            let dated = day.len() == 2 && month.len() == 2 && year.len() == 4;
            if dated && [day, month, year].into_iter().all(digits) {
                return base;
            }
        }
    }
    id
}

/// Which of our model names each side's names are compared under.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameMap(BTreeMap<String, String>);

impl NameMap {
    /// Pairs the names of both sides: given alias, then id, then the same id but for a snapshot
    /// date where only one billed name can be meant. Names that pair with nothing stay themselves.
    pub fn new(
        ours: &BTreeSet<String>,
        billed: &BTreeSet<String>,
        given: &BTreeMap<String, ModelName>,
    ) -> Self {
        let mut map = BTreeMap::new();
        let mut by_base: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for spelling in billed {
            let id = match given.get(spelling) {
                Some(model) => model.as_str().to_owned(),
                None => model_id(spelling),
            };
            by_base.entry(undated(&id).to_owned()).or_default().insert(id.clone());
            map.insert(spelling.clone(), id);
        }
        for name in ours {
            let billed_ids = by_base.get(undated(name));
            let common = match billed_ids {
                Some(ids) if ids.contains(name) => name.clone(),
                Some(ids) if ids.len() == 1 => ids.iter().next().unwrap_or(name).clone(),
                _ => name.clone(),
            };
            map.insert(name.clone(), common);
        }
        Self(map)
    }

    /// The common name of either side's spelling.
    pub fn common<'a>(&'a self, spelling: &'a str) -> &'a str {
        self.0.get(spelling).map_or(spelling, String::as_str)
    }
}

/// `2024-10-22` as `20241022`, where the word is a date.
fn compact_date(word: &str) -> Option<String> {
    let parts: Vec<&str> = word.split('-').collect();
    let [year, month, day] = parts.as_slice() else { return None };
    let digits = [year, month, day].iter().all(|part| part.bytes().all(|b| b.is_ascii_digit()));
    let shaped = year.len() == 4 && month.len() == 2 && day.len() == 2;
    (digits && shaped).then(|| format!("{year}{month}{day}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn display_names_become_ids() {
        assert_eq!(model_id("Claude Opus 4.8"), "claude-opus-4-8");
        assert_eq!(model_id("Claude 3.5 Sonnet 2024-10-22"), "claude-3-5-sonnet-20241022");
        assert_eq!(model_id("gpt-4.1-mini-2025-04-14"), "gpt-4.1-mini-2025-04-14");
    }

    #[test]
    fn a_snapshot_date_is_only_dropped_where_one_name_can_be_meant() {
        let ours = ["gpt-4o", "gpt-4o-2024-05-13", "claude-haiku-4-5-20251001"];
        let ours = ours.iter().map(ToString::to_string).collect();
        let billed = ["gpt-4o-2024-05-13", "gpt-4o-2024-08-06", "Claude Haiku 4.5"];
        let billed = billed.iter().map(ToString::to_string).collect();
        let map = NameMap::new(&ours, &billed, &BTreeMap::new());
        assert_eq!(map.common("gpt-4o-2024-05-13"), "gpt-4o-2024-05-13");
        assert_eq!(map.common("gpt-4o"), "gpt-4o");
        assert_eq!(map.common("claude-haiku-4-5-20251001"), "claude-haiku-4-5");
        assert_eq!(map.common("Claude Haiku 4.5"), "claude-haiku-4-5");
    }
}
