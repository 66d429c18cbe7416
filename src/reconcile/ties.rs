//! Which key of the bill is which credential of ours, where their days agree and nobody else's do.

use std::collections::{BTreeMap, BTreeSet};

use crate::invoice::line::{BilledDimensions, ChargeCategory};
use crate::meter::Meter;
use crate::names::CredentialId;
use crate::reconcile::aliases::NameMap;
use crate::reconcile::facts::{BillingClass, Inputs, KeyTie};
use crate::reconcile::grain::Grain;
use crate::reconcile::owners::{KeyNames, Scopes, scope_of};
use crate::reconcile::slots::Slots;

/// Output tokens by charge period and model.
type Days = BTreeMap<(u32, String), u64>;

/// A key of the bill and a credential of ours whose days agree, and nobody else's as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Likeness {
    /// The key's id or name, as the bill prints it.
    pub key: String,
    /// The credential.
    pub credential: CredentialId,
    /// On how many charge periods, usually days, some model's output agrees to the token.
    pub days_agreeing: usize,
    /// The output tokens that agree.
    pub tokens: u64,
}

/// Every key and credential, tied to nothing yet, whose output agrees to the token in at least half
/// of their days and models, each better with the other than with anyone.
pub(crate) fn likenesses(
    inputs: &Inputs,
    names: &NameMap,
    slots: &Slots,
    grain: &Grain,
    keys: &KeyNames,
) -> Vec<Likeness> {
    if !grain.key {
        return Vec::new();
    }
    let taken = Taken::of(inputs, keys);
    let ours = our_days(inputs, names, slots, &taken.credentials);
    let theirs = billed_days(inputs, (names, keys), slots, grain, |key| taken.is_free(key));
    let scores = scores(&ours, &theirs);
    let best_of_key = |key: &str| scores.iter().filter(|one| one.2 == key).map(|one| one.0).max();
    let best_of_credential =
        |one: &CredentialId| scores.iter().filter(|score| score.1 == one).map(|one| one.0).max();
    let alone = |agree: usize, credential: &CredentialId, key: &str| {
        best_of_key(key) == Some(agree)
            && best_of_credential(credential) == Some(agree)
            && scores.iter().filter(|one| one.0 == agree && one.2 == key).count() == 1
            && scores.iter().filter(|one| one.0 == agree && one.1 == credential).count() == 1
    };
    let chosen = scores.iter().filter(|(agree, credential, key)| alone(*agree, credential, key));
    let likeness = |(_, credential, key): &(usize, &CredentialId, &str)| {
        let (ours, theirs) = (ours.get(*credential), theirs.get(*key));
        let agreeing: Vec<(u32, u64)> = ours
            .into_iter()
            .flatten()
            .filter(|(day, sum)| theirs.and_then(|days| days.get(*day)) == Some(*sum))
            .map(|((slot, _), sum)| (*slot, *sum))
            .collect();
        let days: BTreeSet<u32> = agreeing.iter().map(|(slot, _)| *slot).collect();
        Likeness {
            key: (*key).to_owned(),
            credential: (*credential).clone(),
            days_agreeing: days.len(),
            tokens: agreeing.iter().fold(0_u64, |sum, (_, tokens)| sum.saturating_add(*tokens)),
        }
    };
    chosen.map(likeness).collect()
}

/// What somebody said already: not to be tied anew.
struct Taken<'a> {
    credentials: BTreeSet<&'a CredentialId>,
    keys: BTreeSet<&'a str>,
    inputs: &'a Inputs,
}

impl<'a> Taken<'a> {
    fn of(inputs: &'a Inputs, keys: &'a KeyNames) -> Self {
        let ties = &inputs.ties.keys;
        Self {
            credentials: ties.iter().map(|tie| &tie.credential).collect(),
            keys: ties.iter().map(|tie| keys.id(&tie.key)).collect(),
            inputs,
        }
    }

    fn is_free(&self, key: &str) -> bool {
        !self.keys.contains(key) && !self.inputs.ties.known.contains_key(key)
    }
}

/// Proposes a tie for each key and credential that are tied to nothing yet and agree, to the
/// token, in at least half of their days and models, each better with the other than with anyone;
/// then for those that are alone in a project or workspace both sides name.
///
/// A proposal lets keys be compared one by one; it proves nothing and says so.
pub(crate) fn inferred_ties(
    inputs: &Inputs,
    names: &NameMap,
    slots: &Slots,
    grain: &Grain,
    keys: &KeyNames,
) -> Vec<KeyTie> {
    if !grain.key {
        return Vec::new();
    }
    let taken = Taken::of(inputs, keys);
    let alike = likenesses(inputs, names, slots, grain, keys);
    let mut found: Vec<KeyTie> =
        alike.iter().map(|one| proposal(&one.key, &one.credential)).collect();
    for (key, credential) in alone_in_their_scope(inputs, keys) {
        let is_new = |tie: &KeyTie| tie.key != key && tie.credential != credential;
        if taken.is_free(&key)
            && !taken.credentials.contains(&credential)
            && found.iter().all(is_new)
        {
            found.push(proposal(&key, &credential));
        }
    }
    found
}

/// In how many days and models each credential and key agree, where that is at least half of both.
fn scores<'a>(
    ours: &'a BTreeMap<CredentialId, Days>,
    theirs: &'a BTreeMap<String, Days>,
) -> Vec<(usize, &'a CredentialId, &'a str)> {
    let mut keys_at: BTreeMap<(&(u32, String), u64), Vec<&str>> = BTreeMap::new();
    for (key, days) in theirs {
        for (day, sum) in days {
            keys_at.entry((day, *sum)).or_default().push(key);
        }
    }
    let mut scores = Vec::new();
    for (credential, days) in ours {
        let mut agree: BTreeMap<&str, usize> = BTreeMap::new();
        for (day, sum) in days {
            for key in keys_at.get(&(day, *sum)).into_iter().flatten() {
                *agree.entry(key).or_insert(0) += 1;
            }
        }
        let days_of = |key: &str| theirs.get(key).map_or(0, Days::len);
        let enough = |(key, agree): &(&str, usize)| agree * 2 >= days.len().max(days_of(key));
        let found = agree.into_iter().filter(enough);
        scores.extend(found.map(|(key, agree)| (agree, credential, key)));
    }
    scores
}

fn proposal(key: &str, credential: &CredentialId) -> KeyTie {
    KeyTie { key: key.to_owned(), credential: credential.clone(), confirmed: false }
}

/// The only key the bill names in a project or workspace, and the only credential our attempts
/// used there.
fn alone_in_their_scope(inputs: &Inputs, keys: &KeyNames) -> Vec<(String, CredentialId)> {
    let mut ours: BTreeMap<&str, BTreeSet<&CredentialId>> = BTreeMap::new();
    let scopes = Scopes::new(&inputs.ties);
    for attempt in &inputs.attempts {
        if let (Some(scope), Some(credential)) = (scopes.of(attempt), &attempt.credential) {
            ours.entry(scope).or_default().insert(credential);
        }
    }
    let mut theirs: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut scopes_of_key: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in inputs.imports.iter().flat_map(|import| &import.lines) {
        if let (Some(key), Some(scope)) = (keys.of(&line.dimensions), scope_of(&line.dimensions)) {
            let scope = scopes.id(scope);
            theirs.entry(scope).or_default().insert(key);
            scopes_of_key.entry(key).or_default().insert(scope);
        }
    }
    let mut pairs = Vec::new();
    for (scope, its_keys) in theirs {
        let credentials = ours.get(scope).filter(|credentials| credentials.len() == 1);
        let (Some(credentials), 1) = (credentials, its_keys.len()) else { continue };
        for (key, credential) in its_keys.into_iter().zip(credentials) {
            if scopes_of_key.get(key).is_some_and(|scopes| scopes.len() == 1) {
                pairs.push((key.to_owned(), (*credential).clone()));
            }
        }
    }
    pairs
}

fn our_days(
    inputs: &Inputs,
    names: &NameMap,
    slots: &Slots,
    tied: &BTreeSet<&CredentialId>,
) -> BTreeMap<CredentialId, Days> {
    let mut ours: BTreeMap<CredentialId, Days> = BTreeMap::new();
    for attempt in &inputs.attempts {
        let Some(credential) = &attempt.credential else { continue };
        let counts =
            matches!(attempt.billing_class, BillingClass::Billed | BillingClass::Uncertain);
        let Some(slot) = slots.at(attempt.started_at) else { continue };
        if !counts || tied.contains(credential) {
            continue;
        }
        for part in attempt.metered.iter().filter(|part| part.meter.is_output()) {
            let model = names.common(part.model.as_str()).to_owned();
            let days = match ours.get_mut(credential) {
                Some(days) => days,
                None => ours.entry(credential.clone()).or_default(),
            };
            *days.entry((slot, model)).or_insert(0) += part.quantity;
        }
    }
    ours
}

fn billed_days(
    inputs: &Inputs,
    (names, keys): (&NameMap, &KeyNames),
    slots: &Slots,
    grain: &Grain,
    is_free: impl Fn(&str) -> bool,
) -> BTreeMap<String, Days> {
    let mut theirs: BTreeMap<String, Days> = BTreeMap::new();
    let mut add = |dimensions: &BilledDimensions, model: Option<&str>, slot, quantity: u64| {
        let key = keys.of(dimensions).filter(|key| is_free(key));
        if let (Some(key), Some(model), Some(slot)) = (key, model, slot) {
            let model = names.common(model).to_owned();
            let days = theirs.entry(key.to_owned()).or_default();
            *days.entry((slot, model)).or_insert(0) += quantity;
        }
    };
    for import in &inputs.imports {
        for line in import.lines.iter().filter(|line| line.category == ChargeCategory::Usage) {
            let quantity = line.quantity.filter(|_| line.meter.is_some_and(Meter::is_output));
            let slot = slots.at(line.period.start);
            add(&line.dimensions, line.model.as_deref(), slot, quantity.unwrap_or(0));
        }
        for row in import.usage.iter().filter(|_| grain.quantities_apart) {
            let slot = slots.at(row.period.start);
            let quantity = row.quantities.output_tokens();
            add(&row.dimensions, row.model.as_deref(), slot, quantity);
        }
    }
    for days in theirs.values_mut() {
        days.retain(|_, sum| *sum > 0);
    }
    theirs
}
