//! Who paid for a line and who sent an attempt, as far as both sides can be tied together.

use std::collections::{BTreeMap, BTreeSet};

use crate::invoice::line::BilledDimensions;
use crate::names::CredentialId;
use crate::reconcile::facts::{AttemptFact, BillingClass, KeyTie, Ties};
use crate::reconcile::finding::Confidence;
use crate::reconcile::grain::Grain;

/// Whose traffic a cell is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Owner {
    /// Everything that is not told apart.
    Shared,
    /// A credential of ours, tied to keys of the bill.
    Credential(CredentialId),
    /// A project or workspace both sides name.
    Scope(String),
    /// A key, project, workspace or surface that does not pass here.
    Foreign(Foreign),
}

/// Billed to somebody who sends nothing through here.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Foreign {
    /// The key, project, workspace or surface as the bill prints it.
    pub label: String,
    /// How sure that is.
    pub confidence: Confidence,
    /// Why, in a sentence.
    pub reason: String,
}

/// The owners of one reconciliation.
#[derive(Debug)]
pub(crate) struct Owners {
    /// Names of keys.
    pub key_names: KeyNames,
    ties: BTreeMap<String, (CredentialId, bool)>,
    tied_credentials: BTreeSet<CredentialId>,
    known: BTreeMap<String, String>,
    scopes: Scopes,
    our_scopes: BTreeSet<String>,
    by_key: bool,
    by_scope: bool,
    scopes_comparable: bool,
    every_scope_is_known: bool,
    every_credential_is_tied: bool,
    every_tie_is_confirmed: bool,
}

/// Which project or workspace an attempt belongs to.
#[derive(Debug)]
pub(crate) struct Scopes {
    names: BTreeMap<String, String>,
    of_credential: BTreeMap<CredentialId, String>,
}

/// Which key a name means, where rows print both; one export may know only the name.
#[derive(Debug, Default)]
pub(crate) struct KeyNames(BTreeMap<String, String>);

impl KeyNames {
    /// Names that stand beside one id only.
    pub(crate) fn new<'a>(rows: impl Iterator<Item = &'a BilledDimensions>) -> Self {
        let mut ids: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for row in rows {
            if let (Some(id), Some(name)) = (&row.key_id, &row.key_name)
                && !ids.get(name.as_str()).is_some_and(|known| known.contains(id.as_str()))
            {
                ids.entry(name).or_default().insert(id);
            }
        }
        let single = ids.into_iter().filter(|(_, ids)| ids.len() == 1);
        let pairs = single.flat_map(|(name, ids)| ids.into_iter().map(move |id| (name, id)));
        Self(pairs.map(|(name, id)| (name.to_owned(), id.to_owned())).collect())
    }

    /// The key a row prints: its id, else the id its name stands for, else its name.
    pub(crate) fn of<'a>(&'a self, dimensions: &'a BilledDimensions) -> Option<&'a str> {
        let name = dimensions.key_name.as_deref().map(|name| self.id(name));
        dimensions.key_id.as_deref().or(name)
    }

    /// The id a key's name stands for, or the key as it is.
    pub(crate) fn id<'a>(&'a self, key: &'a str) -> &'a str {
        self.0.get(key).map_or(key, String::as_str)
    }
}

impl Scopes {
    /// What people said. A tie that is only proposed takes no part.
    pub(crate) fn new(ties: &Ties) -> Self {
        let names = ties.scopes.clone();
        let id = |scope: &String| names.get(scope).unwrap_or(scope).clone();
        let confirmed = ties.credentials.iter().filter(|tie| tie.confirmed);
        let of_credential = confirmed.map(|tie| (tie.credential.clone(), id(&tie.scope))).collect();
        Self { names, of_credential }
    }

    /// The id a name on the bill stands for, or the name as it is.
    pub(crate) fn id<'a>(&'a self, scope: &'a str) -> &'a str {
        self.names.get(scope).map_or(scope, String::as_str)
    }

    /// The project or workspace the answer named; without one, that of the attempt's credential.
    pub(crate) fn of<'a>(&'a self, attempt: &'a AttemptFact) -> Option<&'a str> {
        let of_credential =
            || self.of_credential.get(attempt.credential.as_ref()?).map(String::as_str);
        attempt.scope.as_deref().or_else(of_credential)
    }
}

/// The project or workspace a row prints.
pub(crate) fn scope_of(dimensions: &BilledDimensions) -> Option<&str> {
    let project = dimensions.project_id.as_deref().or(dimensions.project_name.as_deref());
    project.or(dimensions.workspace.as_deref())
}

impl Owners {
    /// Reads the ties against what both sides show.
    pub(crate) fn new<'a>(
        ties: &Ties,
        inferred: &[KeyTie],
        grain: &Grain,
        attempts: &[AttemptFact],
        rows: impl Iterator<Item = &'a BilledDimensions>,
        key_names: KeyNames,
    ) -> Self {
        let mut by_key = BTreeMap::new();
        for tie in inferred.iter().chain(&ties.keys) {
            let key = key_names.id(&tie.key).to_owned();
            by_key.insert(key, (tie.credential.clone(), tie.confirmed));
        }
        let mut credentials = BTreeSet::new();
        let scopes = Scopes::new(ties);
        let mut our_scopes = BTreeSet::new();
        let mut every_scope_is_known = true;
        let mut every_attempt_has_a_credential = true;
        let may_be_billed = |attempt: &&AttemptFact| {
            matches!(attempt.billing_class, BillingClass::Billed | BillingClass::Uncertain)
        };
        for attempt in attempts.iter().filter(may_be_billed) {
            match &attempt.credential {
                Some(credential) if !credentials.contains(credential) => {
                    credentials.insert(credential.clone());
                }
                Some(_) => {}
                None => every_attempt_has_a_credential = false,
            }
            match scopes.of(attempt) {
                Some(scope) if !our_scopes.contains(scope) => {
                    our_scopes.insert(scope.to_owned());
                }
                Some(_) => {}
                None => every_scope_is_known = false,
            }
        }
        let tied: BTreeMap<&CredentialId, bool> =
            by_key.values().map(|(credential, confirmed)| (credential, *confirmed)).collect();
        let every_credential_is_tied =
            every_attempt_has_a_credential && credentials.iter().all(|one| tied.contains_key(one));
        // Where nothing passed, nothing is confirmed: the month may have been one long gap.
        let every_tie_is_confirmed = every_credential_is_tied
            && !credentials.is_empty()
            && credentials.iter().all(|one| tied.get(one).copied().unwrap_or(false));
        let tied_credentials = tied.keys().map(|one| (*one).clone()).collect();
        let mut owners = Self {
            key_names,
            ties: by_key,
            tied_credentials,
            known: ties.known.clone(),
            scopes,
            our_scopes,
            by_key: grain.key,
            by_scope: grain.scope && !grain.key,
            scopes_comparable: false,
            every_scope_is_known: every_scope_is_known && !attempts.is_empty(),
            every_credential_is_tied,
            every_tie_is_confirmed,
        };
        owners.scopes_comparable = rows
            .filter_map(scope_of)
            .any(|scope| owners.our_scopes.contains(owners.scopes.id(scope)));
        owners
    }

    /// Whose traffic a row of the bill is.
    pub(crate) fn of_row(&self, dimensions: &BilledDimensions) -> Owner {
        if let Some(surface) = &dimensions.surface {
            return foreign(
                surface,
                Confidence::Consistent,
                format!("the bill names the provider's own surface {surface:?}"),
            );
        }
        let (key, scope) = (self.key_names.of(dimensions), scope_of(dimensions));
        for name in [key, dimensions.key_name.as_deref(), scope].into_iter().flatten() {
            if let Some(what) = self.known.get(name) {
                let reason = format!("{name} was marked as known not to pass here: {what}");
                return foreign(name, Confidence::Assumed, reason);
            }
        }
        if self.by_key
            && let Some((credential, _)) = key.and_then(|key| self.ties.get(key))
        {
            return Owner::Credential(credential.clone());
        }
        let unseen_scope = scope.filter(|scope| {
            self.scopes_comparable
                && self.every_scope_is_known
                && !self.our_scopes.contains(self.scopes.id(scope))
        });
        if (self.by_key || self.by_scope)
            && let Some(scope) = unseen_scope
        {
            let reason = format!(
                "{scope} occurs in no attempt of ours, and of every attempt the project or \
                 workspace is known"
            );
            return foreign(key.unwrap_or(scope), Confidence::Proven, reason);
        }
        if self.by_key {
            return self.of_untied_key(key);
        }
        match scope {
            Some(scope) if self.by_scope && self.scope_grain_holds() => {
                Owner::Scope(self.scopes.id(scope).to_owned())
            }
            _ => Owner::Shared,
        }
    }

    fn of_untied_key(&self, key: Option<&str>) -> Owner {
        match key {
            Some(key) if self.every_tie_is_confirmed => {
                let reason = "every key used here is confirmed to be another one".to_owned();
                foreign(key, Confidence::Proven, reason)
            }
            Some(key) if self.every_credential_is_tied => {
                let reason = format!("on {key}, tied to no caller yet; tie it or mark it known");
                foreign(key, Confidence::Consistent, reason)
            }
            _ => Owner::Shared,
        }
    }

    fn scope_grain_holds(&self) -> bool {
        self.scopes_comparable && self.every_scope_is_known
    }

    /// Whose traffic an attempt is.
    pub(crate) fn of_attempt(&self, attempt: &AttemptFact) -> Owner {
        if self.by_key {
            let tied = attempt.credential.as_ref();
            return match tied.filter(|one| self.tied_credentials.contains(*one)) {
                Some(credential) => Owner::Credential(credential.clone()),
                None => Owner::Shared,
            };
        }
        match self.scopes.of(attempt) {
            Some(scope) if self.by_scope && self.scope_grain_holds() => {
                Owner::Scope(scope.to_owned())
            }
            _ => Owner::Shared,
        }
    }

    /// Whether a person confirmed which key of the bill this credential is.
    pub(crate) fn is_confirmed(&self, owner: &Owner) -> bool {
        match owner {
            Owner::Credential(credential) => {
                self.ties.values().any(|(tied, confirmed)| tied == credential && *confirmed)
            }
            _ => false,
        }
    }

    /// How an owner reads on a page.
    pub(crate) fn words(&self, owner: &Owner) -> String {
        match owner {
            Owner::Shared => String::new(),
            Owner::Scope(scope) => scope.clone(),
            Owner::Foreign(foreign) => foreign.label.clone(),
            Owner::Credential(credential) => {
                let keys = self.ties.iter().filter(|(_, (tied, _))| tied == credential);
                keys.map(|(key, _)| key.as_str()).collect::<Vec<_>>().join(", ")
            }
        }
    }
}

fn foreign(label: &str, confidence: Confidence, reason: String) -> Owner {
    Owner::Foreign(Foreign { label: label.to_owned(), confidence, reason })
}
