//! The plan of a call: the targets to try, in order.

use crate::names::{ModelName, ProviderName, Target};

/// Where a call goes, first target first. A native path has exactly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// The first.
    pub first: Target,
    /// Where next, should it fail.
    pub fallbacks: Vec<Target>,
}

/// The plan of a native path: the provider it names, the model as the caller spelled it.
pub(crate) fn native(provider: ProviderName, model: Option<ModelName>) -> Plan {
    Plan { first: Target { provider, model }, fallbacks: Vec::new() }
}
