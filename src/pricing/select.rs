//! Circumstances and the rows they select: exact cover, so that none is silently ignored.

use std::collections::BTreeMap;

use crate::meter::Meter;
use crate::pricing::price::Factor;
use crate::usage::Conditions;

/// The circumstances a provider's prices depend on, each with the words that mean nothing special.
#[derive(Clone, Debug, Default)]
pub struct Selectors(BTreeMap<String, Vec<String>>);

/// What a row asks for: every key with one of its words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(Vec<(String, Vec<String>)>);

/// The circumstances of one call that may change its price, in the words of the price file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Circumstances(Vec<(String, String)>);

/// A factor with what it asks for and the meters it applies to.
#[derive(Clone, Debug)]
pub struct Multiplier {
    /// The circumstances.
    pub select: Selection,
    /// The factor.
    pub factor: Factor,
    /// The meters it applies to.
    pub over: Vec<Meter>,
    /// What identifies it in a rate id.
    pub identity: String,
}

impl Selectors {
    /// Whether this circumstance may change a price at all.
    pub(crate) fn decides(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether this word means nothing special.
    pub(crate) fn is_neutral(&self, key: &str, word: &str) -> bool {
        self.0.get(key).is_some_and(|words| words.iter().any(|neutral| neutral == word))
    }

    /// Adds the words of another file of the same provider.
    pub(crate) fn extend(&mut self, more: &BTreeMap<String, Vec<String>>) {
        for (key, words) in more {
            self.0.entry(key.clone()).or_default().extend(words.iter().cloned());
        }
    }

    /// Keeps of a call's circumstances what is special and may change the price.
    ///
    /// Two spellings of the wire are brought to the word the price files use: a region asked for
    /// as `inference_geo`, and a batch reported as a service tier.
    pub(crate) fn special(&self, conditions: &Conditions) -> Circumstances {
        let mut special = Vec::new();
        for (key, value) in conditions.iter() {
            let value = value.trim().to_ascii_lowercase();
            let key = match (key, value.as_str()) {
                ("service_tier", "batch") => "processing",
                ("inference_geo", _) => "region",
                _ => key,
            };
            let neutral = |words: &Vec<String>| words.contains(&value);
            let said = |(seen, _): &(String, String)| seen == key;
            if self.0.get(key).is_none_or(neutral) || special.iter().any(said) {
                continue;
            }
            special.push((key.to_owned(), value));
        }
        Circumstances(special)
    }
}

impl Selection {
    /// From keys and their words.
    pub(crate) fn new(select: impl IntoIterator<Item = (String, Vec<String>)>) -> Self {
        Self(select.into_iter().collect())
    }

    /// Whether every key is present with one of its words.
    pub(crate) fn matches(&self, circumstances: &Circumstances) -> bool {
        self.0.iter().all(|(key, words)| {
            circumstances.get(key).is_some_and(|value| words.iter().any(|word| word == value))
        })
    }

    /// Whether it asks for this key.
    pub(crate) fn names(&self, key: &str) -> bool {
        self.0.iter().any(|(own, _)| own == key)
    }

    /// Keys and words.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[String])> {
        self.0.iter().map(|(key, words)| (key.as_str(), words.as_slice()))
    }

    /// How many circumstances it asks for.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it asks for nothing: the standard price.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one call could meet both with the same keys, so that neither would win.
    pub(crate) fn collides_with(&self, other: &Self) -> bool {
        self.len() == other.len()
            && self.0.iter().all(|(key, words)| {
                other.0.iter().any(|(their_key, theirs)| {
                    key == their_key && words.iter().any(|word| theirs.contains(word))
                })
            })
    }
}

impl Circumstances {
    /// The word said for a key.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(own, _)| own == key).map(|(_, value)| value.as_str())
    }

    /// The first circumstance a row and its multipliers do not account for.
    pub(crate) fn uncovered(
        &self,
        row: &Selection,
        multipliers: &[&Multiplier],
    ) -> Option<(&str, &str)> {
        let covered = |key: &str| {
            row.names(key) || multipliers.iter().any(|multiplier| multiplier.select.names(key))
        };
        self.0
            .iter()
            .find(|(key, _)| !covered(key))
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}
