//! The configuration: a TOML file, `COUNTERFOIL_...` over it, and where secrets are to be found.

pub(crate) mod error;
mod overrides;
mod secret;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use crate::bookkeeping::retention;
use crate::config::error::ConfigError;
use crate::config::secret::read_secret;
use crate::dialect::endpoint::Dialect;
use crate::gateway::counting::QUEUE_BYTES;
use crate::upstream::base_url;

/// Everything that can be configured, with its defaults. Fields are read by `serve`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where clients call.
    pub listen: SocketAddr,
    /// Where the dashboard answers; loopback until it has a sign-in.
    pub dashboard_listen: SocketAddr,
    /// The data folder: journal, books and the fingerprint key.
    pub data: PathBuf,
    /// What happens to calls while the journal cannot take them.
    pub on_journal_failure: OnJournalFailure,
    /// A price file of the user's own, laid over the built-in table.
    pub price_overlay: Option<PathBuf>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// How large things may be.
    pub limits: Limits,
    /// Providers by the first segment of their path. `openai` and `anthropic` need no entry.
    pub providers: BTreeMap<String, ProviderEntry>,
    /// Who may call, by name. Empty: whoever reaches the loopback address, with their own key.
    pub callers: BTreeMap<String, CallerEntry>,
}

/// What happens to calls while the journal cannot take an intent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnJournalFailure {
    /// They are answered 503 with `Retry-After`.
    #[default]
    Refuse,
    /// They pass without a record; the span is appended as a coverage gap afterwards.
    AllowUntracked,
}

/// How long things may take; whole seconds in the file.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// To connect to a provider.
    #[serde(rename = "connect_s", deserialize_with = "seconds")]
    pub connect: Duration,
    /// From sending a request to the provider's response headers.
    #[serde(rename = "headers_s", deserialize_with = "seconds")]
    pub headers: Duration,
    /// Between two pieces of an answer.
    #[serde(rename = "idle_s", deserialize_with = "seconds")]
    pub idle: Duration,
    /// To read the rest of an answer whose client has gone.
    #[serde(rename = "drain_s", deserialize_with = "seconds")]
    pub drain: Duration,
    /// From the first signal to the end of the process.
    #[serde(rename = "shutdown_s", deserialize_with = "seconds")]
    pub shutdown: Duration,
}

/// How large things may be.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Largest request body that is metered, in MiB; others stream through unlimited.
    pub body_mib: usize,
    /// Largest memory the bodies waiting to be counted may take, in MiB.
    pub counting_queue_mib: usize,
    /// Largest size of the journal's file, in MiB; by default the disk's.
    pub journal_mib: Option<u32>,
    /// For how many days a record stays in the journal at least, once the books have it too.
    pub journal_days: u32,
}

/// One provider.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderEntry {
    /// Where it answers, without `/v1`: `https://api.openai.com`.
    pub base_url: Option<String>,
    /// The key used for every call: `env:NAME`, `file:PATH` or the key itself.
    #[serde(deserialize_with = "secret::optional_secret")]
    pub api_key: Option<SecretString>,
    /// `openai` or `anthropic`; by default what the provider's name says.
    pub dialect: Option<DialectName>,
    /// Whether plain `http://` beyond this machine is meant.
    pub allow_http: bool,
}

/// A dialect as the configuration spells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DialectName {
    /// OpenAI's formats.
    Openai,
    /// Anthropic's formats.
    Anthropic,
}

/// Someone who may call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerEntry {
    /// The token they send as their API key: `env:NAME`, `file:PATH` or the token itself.
    #[serde(deserialize_with = "secret::secret")]
    pub token: SecretString,
    /// The team their calls belong to.
    #[serde(default)]
    pub team: Option<String>,
    /// How long the content of their calls is kept: `30d`. Without it, as by default, not at all.
    #[serde(default)]
    pub capture: Option<String>,
}

/// A provider as `serve` uses it: checked, with its secret read.
#[derive(Clone, Debug)]
pub(crate) struct ProviderSettings {
    /// First segment of its native path.
    pub name: String,
    /// Scheme, authority and path prefix, without a slash at the end.
    pub base_url: String,
    /// The key, where one is configured.
    pub api_key: Option<SecretString>,
    /// Its formats.
    pub dialect: Dialect,
}

/// A caller as `serve` uses it: with its token read.
#[derive(Clone, Debug)]
pub(crate) struct CallerSettings {
    /// The name in the configuration.
    pub name: String,
    /// The token.
    pub token: SecretString,
    /// The team.
    pub team: Option<String>,
    /// For how many days the content of their calls is kept, if at all.
    pub capture_days: Option<u32>,
}

/// The longest the journal may keep what the books have: ten years.
const LONGEST_JOURNAL_DAYS: u32 = 3_650;

/// The longest captured content may be kept.
const LONGEST_CAPTURE_DAYS: u32 = 400;

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 4180)),
            dashboard_listen: SocketAddr::from(([127, 0, 0, 1], 4181)),
            data: PathBuf::from("data"),
            on_journal_failure: OnJournalFailure::default(),
            price_overlay: None,
            timeouts: Timeouts::default(),
            limits: Limits::default(),
            providers: BTreeMap::new(),
            callers: BTreeMap::new(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        let [connect, headers, idle, drain, shutdown] =
            [10, 600, 300, 60, 90].map(Duration::from_secs);
        Self { connect, headers, idle, drain, shutdown }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_mib: 32,
            counting_queue_mib: QUEUE_BYTES / (1024 * 1024),
            journal_mib: None,
            journal_days: retention::DEFAULT_DAYS,
        }
    }
}

impl Config {
    /// Reads a file, where one is named, and lays the `COUNTERFOIL_...` variables over it.
    pub(crate) fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let overrides = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        let text = match file {
            None => String::new(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?,
        };
        let origin = file.map_or_else(|| "the configuration".into(), |f| f.display().to_string());
        Self::from_text(&text, &origin, overrides)
    }

    /// Reads a text as `Config::load` reads its file. `origin` names it in errors.
    pub fn from_text(
        text: &str,
        origin: &str,
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let malformed = |error: &toml::de::Error| ConfigError::Malformed {
            origin: origin.to_owned(),
            message: described(error, text),
        };
        // Parsed once as it stands, so that an error names the line of the file.
        toml::from_str::<Self>(text).map_err(|error| malformed(&error))?;
        let mut table: toml::Table = toml::from_str(text).map_err(|error| malformed(&error))?;
        let mut overridden = Vec::new();
        for (name, value) in environment {
            if let Some(path) = overrides::path_of(&name) {
                overrides::set(&mut table, &path, &value);
                overridden.push(name);
            }
        }
        let config: Self = table.try_into().map_err(|error: toml::de::Error| {
            overridden.sort();
            ConfigError::Malformed {
                origin: format!("environment ({})", overridden.join(", ")),
                message: error.message().to_owned(),
            }
        })?;
        config.check()?;
        Ok(config)
    }

    /// The providers, the two that need no entry included, with their secrets read.
    pub(crate) fn provider_settings(&self) -> Result<Vec<ProviderSettings>, ConfigError> {
        let mut entries = self.providers.clone();
        for known in ["openai", "anthropic"] {
            entries.entry(known.to_owned()).or_default();
        }
        entries.iter().map(|(name, entry)| entry.settings(name)).collect()
    }

    /// The callers with their tokens read.
    pub(crate) fn caller_settings(&self) -> Result<Vec<CallerSettings>, ConfigError> {
        let read = |(name, entry): (&String, &CallerEntry)| {
            let key = format!("callers.{name}.token");
            let token = read_secret(&key, &entry.token)?;
            if token.expose_secret().len() < 16 {
                let problem = "is shorter than 16 characters; use a long random one".to_owned();
                return Err(ConfigError::Unusable { key, problem });
            }
            let (team, capture_days) = (entry.team.clone(), entry.capture_days(name)?);
            Ok(CallerSettings { name: name.clone(), token, team, capture_days })
        };
        let callers = self.callers.iter().map(read).collect::<Result<Vec<CallerSettings>, _>>()?;
        let mut owners = HashMap::with_capacity(callers.len());
        for caller in &callers {
            if let Some(other) = owners.insert(caller.token.expose_secret(), &caller.name) {
                let key = format!("callers.{}.token", caller.name);
                let problem = format!("is that of callers.{other} too; a token proves one caller");
                return Err(ConfigError::Unusable { key, problem });
            }
        }
        Ok(callers)
    }

    /// Refuses what cannot be meant, such as an open listener without callers.
    ///
    /// # Errors
    /// The key at fault and what to write instead.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let unusable = |key: &str, problem: &str| {
            Err(ConfigError::Unusable { key: key.to_owned(), problem: problem.to_owned() })
        };
        if !self.listen.ip().is_loopback() && self.callers.is_empty() {
            return unusable(
                "listen",
                "is reachable from other machines, so at least one [callers.NAME] with a token is \
                 needed; or listen on 127.0.0.1",
            );
        }
        if !self.dashboard_listen.ip().is_loopback() {
            return unusable(
                "dashboard_listen",
                "must be a loopback address: the dashboard has no sign-in yet; reach it through \
                 an SSH tunnel",
            );
        }
        if self.limits.body_mib == 0 {
            return unusable("limits.body_mib", "must be at least 1");
        }
        if !(1..=LONGEST_JOURNAL_DAYS).contains(&self.limits.journal_days) {
            let problem = format!("must be from 1 to {LONGEST_JOURNAL_DAYS}");
            return unusable("limits.journal_days", &problem);
        }
        for (name, entry) in &self.providers {
            entry.checked_base_url(name)?;
        }
        Ok(())
    }
}

impl CallerEntry {
    fn capture_days(&self, name: &str) -> Result<Option<u32>, ConfigError> {
        let Some(text) = &self.capture else { return Ok(None) };
        let digits = text.strip_suffix('d').filter(|it| it.bytes().all(|b| b.is_ascii_digit()));
        let days = digits.and_then(|digits| digits.parse().ok());
        match days.filter(|days| (1..=LONGEST_CAPTURE_DAYS).contains(days)) {
            Some(days) => Ok(Some(days)),
            None => Err(ConfigError::Unusable {
                key: format!("callers.{name}.capture"),
                problem: format!(
                    "is no number of days from \"1d\" to \"{LONGEST_CAPTURE_DAYS}d\"; leave it \
                     out to keep no content"
                ),
            }),
        }
    }
}

impl ProviderEntry {
    fn settings(&self, name: &str) -> Result<ProviderSettings, ConfigError> {
        let api_key = self
            .api_key
            .as_ref()
            .map(|reference| read_secret(&format!("providers.{name}.api_key"), reference))
            .transpose()?;
        let dialect = match self.dialect {
            Some(DialectName::Openai) => Dialect::OpenAi,
            Some(DialectName::Anthropic) => Dialect::Anthropic,
            None if name == "anthropic" => Dialect::Anthropic,
            None => Dialect::OpenAi,
        };
        let base_url = self.checked_base_url(name)?;
        Ok(ProviderSettings { name: name.to_owned(), base_url, api_key, dialect })
    }

    fn checked_base_url(&self, name: &str) -> Result<String, ConfigError> {
        let unusable = |problem: &str| ConfigError::Unusable {
            key: format!("providers.{name}.base_url"),
            problem: problem.to_owned(),
        };
        let named = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !named || name == "healthz" || name == "readyz" || name == "v1" {
            return Err(ConfigError::Unusable {
                key: format!("providers.{name}"),
                problem: "a provider's name is the first segment of its path: lower-case letters, \
                          digits and `-`, and neither v1, healthz nor readyz"
                    .to_owned(),
            });
        }
        let given = match (&self.base_url, name) {
            (Some(url), _) => url.as_str(),
            (None, "openai") => "https://api.openai.com",
            (None, "anthropic") => "https://api.anthropic.com",
            (None, _) => return Err(unusable("is missing")),
        };
        base_url::checked(given, self.allow_http).map_err(|error| unusable(&error.to_string()))
    }
}

/// The failpoint a debug build is asked to stop at, for tests of crashes: `name` or `name:n`.
#[cfg(debug_assertions)]
pub(crate) fn failpoint() -> Option<String> {
    std::env::var_os("COUNTERFOIL_FAILPOINT")?.into_string().ok()
}

/// A release build has no failpoints.
#[cfg(not(debug_assertions))]
pub(crate) const fn failpoint() -> Option<String> {
    None
}

/// The filter of log lines, `COUNTERFOIL_LOG`, in the syntax of tracing's `EnvFilter`.
pub(crate) fn log_filter() -> Option<String> {
    std::env::var_os("COUNTERFOIL_LOG")?.into_string().ok()
}

fn seconds<'de, D: Deserializer<'de>>(source: D) -> Result<Duration, D::Error> {
    u64::deserialize(source).map(Duration::from_secs)
}

/// A parser's message without the excerpt it prints, which may show a secret.
fn described(error: &toml::de::Error, text: &str) -> String {
    let at = error.span().map_or(0, |span| span.start);
    let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    format!("line {line}: {}", error.message())
}
