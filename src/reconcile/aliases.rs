//! One name for a model however the bill spells it: given aliases, display names, dated snapshots.

use std::collections::{BTreeMap, BTreeSet};

use crate::names::ModelName;

/// The billed spelling as a model id: `Claude Opus 4.8` becomes `claude-opus-4-8`,
/// `Claude 3.5 Sonnet 2024-10-22` becomes `claude-3-5-sonnet-20241022`. An id stays as it is.
pub(crate) fn model_id(spelling: &str) -> String {
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
pub(crate) fn undated(id: &str) -> &str {
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
pub(crate) struct NameMap(BTreeMap<String, String>);

impl NameMap {
    /// Pairs the names of both sides: given alias, then id, then the same id but for a snapshot
    /// date where only one dated name can be meant. Names that pair with nothing stay themselves.
    pub(crate) fn new(
        ours: &BTreeSet<String>,
        billed: &BTreeSet<String>,
        given: &BTreeMap<String, ModelName>,
    ) -> Self {
        let id_of = |spelling: &String| match given.get(spelling) {
            Some(model) => model.as_str().to_owned(),
            None => model_id(spelling),
        };
        let ids: BTreeMap<&String, String> =
            billed.iter().map(|spelling| (spelling, id_of(spelling))).collect();
        let mut by_base: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for id in ids.values() {
            by_base.entry(undated(id)).or_default().insert(id);
        }
        let common = |id: &str| {
            let Some(billed_ids) = by_base.get(undated(id)) else { return id.to_owned() };
            let mut dated = billed_ids.iter().filter(|one| undated(one) != **one);
            match (dated.next(), dated.next()) {
                (Some(only), None) if !billed_ids.contains(id) || undated(id) == id => {
                    (*only).to_owned()
                }
                (None, _) => undated(id).to_owned(),
                _ => id.to_owned(),
            }
        };
        let mut map: BTreeMap<String, String> =
            ours.iter().map(|name| (name.clone(), common(name))).collect();
        map.extend(ids.iter().map(|(spelling, id)| ((*spelling).clone(), common(id))));
        Self(map)
    }

    /// The common name of either side's spelling.
    pub(crate) fn common<'a>(&'a self, spelling: &'a str) -> &'a str {
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

    #[test]
    fn a_display_name_and_the_dated_id_of_the_same_bill_are_one_model() {
        let ours = ["claude-sonnet-4-5-20250929".to_owned(), "claude-sonnet-4-5".to_owned()].into();
        let billed = ["Claude Sonnet 4.5", "claude-sonnet-4-5-20250929"];
        let billed = billed.iter().map(ToString::to_string).collect();
        let map = NameMap::new(&ours, &billed, &BTreeMap::new());
        for spelling in ["Claude Sonnet 4.5", "claude-sonnet-4-5", "claude-sonnet-4-5-20250929"] {
            assert_eq!(map.common(spelling), "claude-sonnet-4-5-20250929");
        }
    }
}
