//! Configurations that are taken, and those that are refused with a reason.

use super::*;

fn read(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    Config::from_text(text, "test.toml", environment)
}

#[test]
fn a_variable_for_the_tests_is_no_setting_and_an_unknown_one_is_refused() {
    assert!(read("", &[("COUNTERFOIL_TEST_PYTHON", "python3")]).is_ok());
    assert!(read("", &[("COUNTERFOIL_LISTEM", "127.0.0.1:1")]).is_err());
}

#[test]
fn nothing_configured_is_a_gateway_on_loopback_for_two_providers() {
    let config = read("", &[]).unwrap();
    assert!(config.listen.ip().is_loopback());
    let names: Vec<_> = config.provider_settings().unwrap().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["anthropic", "openai"]);
}

#[test]
fn the_sample_file_is_read_as_it_stands() {
    let sample = include_str!("../../counterfoil.sample.toml");
    read(sample, &[]).unwrap();
}

#[test]
fn a_variable_stands_over_the_file() {
    let config = read(
        "listen = '127.0.0.1:1'\n[timeouts]\nidle_s = 3\n",
        &[
            ("COUNTERFOIL_LISTEN", "127.0.0.1:2"),
            ("COUNTERFOIL_TIMEOUTS__IDLE_S", "7"),
            ("COUNTERFOIL_PROVIDERS__OPENAI__BASE_URL", "http://127.0.0.1:9"),
            ("OTHER", "x"),
        ],
    )
    .unwrap();
    assert_eq!(config.listen.port(), 2);
    assert_eq!(config.timeouts.idle.as_secs(), 7);
    assert_eq!(config.provider_settings().unwrap()[1].base_url, "http://127.0.0.1:9");
}

#[test]
fn a_bind_beyond_loopback_is_refused_without_callers() {
    let refused = read("listen = '0.0.0.0:4180'", &[]).unwrap_err().to_string();
    assert!(refused.contains("[callers.NAME]"), "{refused}");
    let callers = "listen = '0.0.0.0:4180'\n[callers.app]\ntoken = 'a-long-random-token'";
    read(callers, &[]).unwrap();
    let dashboard = read("dashboard_listen = '0.0.0.0:1'", &[]).unwrap_err().to_string();
    assert!(dashboard.contains("no sign-in"), "{dashboard}");
}

#[test]
fn the_journal_keeps_its_records_for_as_many_days_as_are_said_and_at_least_one() {
    assert_eq!(read("", &[]).unwrap().limits.journal_days, 7);
    let said = read("", &[("COUNTERFOIL_LIMITS__JOURNAL_DAYS", "30")]).unwrap();
    assert_eq!(said.limits.journal_days, 30);
    for days in ["0", "3651"] {
        let refused = read(&format!("[limits]\njournal_days = {days}"), &[]).unwrap_err();
        assert_eq!(refused.to_string(), "limits.journal_days: must be from 1 to 3650");
    }
}

#[test]
fn a_token_that_two_callers_share_is_refused_and_not_shown() {
    let callers = "[callers.app]\ntoken = 'a-long-random-token'\n\
        [callers.web]\ntoken = 'a-long-random-token'";
    let refused = read(callers, &[]).unwrap().caller_settings().unwrap_err().to_string();
    assert!(refused.contains("callers.web.token"), "{refused}");
    assert!(refused.contains("callers.app"), "{refused}");
    assert!(!refused.contains("a-long-random-token"), "{refused}");
}

#[test]
fn a_base_url_that_cannot_be_meant_is_named() {
    for (url, word) in [
        ("https://api.example.com/v1", "/v1"),
        ("http://api.example.com", "allow_http"),
        ("https://u:p@example.com", "api_key"),
        ("ftp://example.com", "https://"),
        ("https://example.com?x=1", "query"),
    ] {
        let text = format!("[providers.x]\nbase_url = '{url}'");
        let error = read(&text, &[]).unwrap_err().to_string();
        assert!(error.contains(word), "{url}: {error}");
        assert!(error.starts_with("providers.x.base_url"), "{error}");
    }
}

#[test]
fn an_error_names_the_line_and_never_a_secret() {
    let text = "[providers.openai]\napi_key = 'sk-very-secret'\nbase_ulr = 'x'\n";
    let error = read(text, &[]).unwrap_err().to_string();
    assert!(error.contains("line 3") && error.contains("base_ulr"), "{error}");
    let broken = read("[providers.openai]\napi_key = 'sk-very-secret\n", &[]).unwrap_err();
    assert!(!broken.to_string().contains("very-secret"), "{broken}");
}

#[test]
fn content_is_captured_of_callers_that_are_set_to_it_and_of_no_other() {
    let entry = |capture: &str| format!("[callers.app]\ntoken = 'a-long-random-token'\n{capture}");
    let days = |capture: &str| read(&entry(capture), &[]).unwrap().caller_settings();
    assert_eq!(days("").unwrap()[0].capture_days, None);
    assert_eq!(days("capture = '30d'").unwrap()[0].capture_days, Some(30));
    for text in ["''", "'d'", "'0d'", "'401d'", "'30'", "'30h'", "'-1d'", "'+1d'", "'1 d'"] {
        let error = days(&format!("capture = {text}")).unwrap_err().to_string();
        assert!(error.starts_with("callers.app.capture: is no number of days"), "{error}");
    }
    // Nowhere else can it be said, and so not by accident either.
    assert!(read("capture = '30d'", &[]).is_err());
    assert!(read("[providers.openai]\ncapture = '30d'", &[]).is_err());
}

#[test]
fn a_secret_is_read_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "sk-from-file\n").unwrap();
    let text = format!("[providers.openai]\napi_key = 'file:{}'", path.display());
    let settings = read(&text, &[]).unwrap().provider_settings().unwrap();
    assert_eq!(settings[1].api_key.as_ref().unwrap().expose_secret(), "sk-from-file");
    let missing = "[providers.openai]\napi_key = 'env:COUNTERFOIL_TEST_NOT_SET'";
    let error = read(missing, &[]).unwrap().provider_settings().unwrap_err().to_string();
    assert!(error.contains("COUNTERFOIL_TEST_NOT_SET"), "{error}");
}
