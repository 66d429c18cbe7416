//! `counterfoil config check`: the configuration in force, secrets hidden.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use secrecy::{ExposeSecret, SecretString};

use crate::cli::arguments::{finish, print};
use crate::config::error::ConfigError;
use crate::config::{Config, OnJournalFailure, Timeouts};
use crate::dialect::endpoint::Dialect;

/// Prints it, or what is wrong with it.
pub(super) fn run(file: Option<&Path>) -> ExitCode {
    let described = Config::load(file).and_then(|config| describe(&config));
    finish(described.map(|text| print(text.trim_end())).map_err(|error| error.to_string()))
}

/// The configuration in force as TOML text; of a secret only where it is read from.
fn describe(config: &Config) -> Result<String, ConfigError> {
    let mut text = String::new();
    let failure = match config.on_journal_failure {
        OnJournalFailure::Refuse => "refuse",
        OnJournalFailure::AllowUntracked => "allow_untracked",
    };
    let mut line = |key: &str, value: String| {
        let _ = writeln!(text, "{key} = {value}");
    };
    line("listen", quoted(&config.listen.to_string()));
    line("dashboard_listen", quoted(&config.dashboard_listen.to_string()));
    line("data", quoted(&config.data.display().to_string()));
    line("on_journal_failure", quoted(failure));
    if let Some(overlay) = &config.price_overlay {
        line("price_overlay", quoted(&overlay.display().to_string()));
    }
    let Timeouts { connect, headers, idle, drain, shutdown } = &config.timeouts;
    let times = [
        ("\n[timeouts]\nconnect_s", connect),
        ("headers_s", headers),
        ("idle_s", idle),
        ("drain_s", drain),
        ("shutdown_s", shutdown),
    ];
    for (key, time) in times {
        line(key, time.as_secs().to_string());
    }
    line("\n[limits]\nbody_mib", config.limits.body_mib.to_string());
    line("counting_queue_mib", config.limits.counting_queue_mib.to_string());
    if let Some(mib) = config.limits.journal_mib {
        line("journal_mib", mib.to_string());
    }
    line("journal_days", config.limits.journal_days.to_string());
    describe_providers(config, &mut text)?;
    config.caller_settings()?;
    for (name, caller) in &config.callers {
        let _ = writeln!(text, "\n[callers.{}]", quoted_key(name));
        let _ = writeln!(text, "token = {}", quoted(&hidden(&caller.token)));
        if let Some(team) = &caller.team {
            let _ = writeln!(text, "team = {}", quoted(team));
        }
        match &caller.capture {
            Some(time) => {
                text.push_str("# what its calls ask and are answered is KEPT for this time\n");
                let _ = writeln!(text, "capture = {}", quoted(time));
            }
            None => text.push_str("# no capture: the content of its calls is not kept\n"),
        }
    }
    Ok(text)
}

fn describe_providers(config: &Config, text: &mut String) -> Result<(), ConfigError> {
    for provider in config.provider_settings()? {
        let entry = config.providers.get(&provider.name);
        let _ = writeln!(text, "\n[providers.{}]", provider.name);
        let _ = writeln!(text, "base_url = {}", quoted(&provider.base_url));
        let dialect = match provider.dialect {
            Dialect::OpenAi => "openai",
            Dialect::Anthropic => "anthropic",
        };
        let _ = writeln!(text, "dialect = {}", quoted(dialect));
        if entry.is_some_and(|entry| entry.allow_http) {
            text.push_str("allow_http = true\n");
        }
        match entry.and_then(|entry| entry.api_key.as_ref()) {
            Some(reference) => {
                let _ = writeln!(text, "api_key = {}", quoted(&hidden(reference)));
            }
            None if config.callers.is_empty() => {
                text.push_str("# no api_key: the caller's own key is passed through\n");
            }
            None => text
                .push_str("# no api_key: callers send gateway tokens, so its calls are refused\n"),
        }
    }
    Ok(())
}

fn hidden(reference: &SecretString) -> String {
    let text = reference.expose_secret();
    if text.starts_with("env:") || text.starts_with("file:") {
        return text.to_owned();
    }
    "(hidden)".to_owned()
}

fn quoted(text: &str) -> String {
    // A JSON string is a basic string of TOML, escapes and all.
    serde_json::Value::from(text).to_string()
}

fn quoted_key(name: &str) -> String {
    let bare = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if bare { name.to_owned() } else { quoted(name) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Config {
        Config::from_text(text, "test.toml", std::iter::empty()).unwrap()
    }

    #[test]
    fn the_sample_says_the_defaults_and_every_key_it_shows_is_one() {
        let sample = include_str!("../../counterfoil.sample.toml");
        assert_eq!(describe(&read(sample)).unwrap(), describe(&Config::default()).unwrap());
        let is_key = |text: &str| text.bytes().all(|it| it.is_ascii_lowercase() || it == b'_');
        let shown = |line: &str| {
            let (key, _) = line.split_once(" = ").unwrap_or_default();
            line.starts_with('[') || !key.is_empty() && is_key(key)
        };
        let bare = |line| str::strip_prefix(line, "# ").filter(|it| shown(it)).unwrap_or(line);
        let everything: Vec<&str> = sample.lines().map(bare).collect();
        let config = read(&everything.join("\n"));
        assert!(config.price_overlay.is_some() && config.limits.journal_mib.is_some());
        assert_eq!(config.providers.len(), 3);
        assert!(config.callers.values().all(|it| it.team.is_some() && it.capture.is_some()));
        assert_eq!(config.callers.len(), 1);
    }

    #[test]
    fn the_description_hides_secrets_and_reads_back() {
        let text = "[providers.openai]\napi_key = 'sk-very-secret'\n\
                    [providers.local]\nbase_url = 'http://10.0.0.7:11434'\nallow_http = true\n\
                    [callers.app]\ntoken = 'a-long-random-token'\nteam = 'search'\ncapture = '30d'\n";
        let config = read(text);
        let shown = describe(&config).unwrap();
        assert!(!shown.contains("very-secret") && !shown.contains("long-random"), "{shown}");
        assert!(!format!("{config:?}").contains("very-secret"));
        assert!(shown.contains("KEPT for this time\ncapture = \"30d\""), "{shown}");
        assert!(shown.contains("so its calls are refused"), "{shown}");
        assert!(describe(&read("")).unwrap().contains("own key is passed through"));
        let again = read(&shown.replace("(hidden)", "a-long-random-token"));
        assert_eq!(describe(&again).unwrap(), shown);
    }
}
