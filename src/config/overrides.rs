//! `COUNTERFOIL_...` variables, laid over the file.

/// `COUNTERFOIL_PROVIDERS__OPENAI__BASE_URL` names `providers.openai.base_url`.
pub(super) fn path_of(name: &str) -> Option<Vec<String>> {
    let rest = name.strip_prefix("COUNTERFOIL_")?;
    // What the tests are told is not for the gateway.
    if matches!(rest, "FAILPOINT" | "LOG" | "CONFIG" | "") || rest.starts_with("TEST_") {
        return None;
    }
    Some(rest.split("__").map(str::to_lowercase).collect())
}

/// Puts a variable's text where its path leads, as the type a key of that name has.
pub(super) fn set(table: &mut toml::Table, path: &[String], value: &str) {
    let Some((last, folders)) = path.split_last() else { return };
    let mut table = table;
    for folder in folders {
        let entry = table.entry(folder.as_str()).or_insert_with(|| toml::Table::new().into());
        if !entry.is_table() {
            *entry = toml::Table::new().into();
        }
        let Some(inner) = entry.as_table_mut() else { return };
        table = inner;
    }
    let typed = match (last.as_str(), value) {
        // Everything else is text in the file, a key of digits alone included.
        ("allow_http", "true") => true.into(),
        ("allow_http", "false") => false.into(),
        (key, text) if ["_s", "_mib", "_days"].iter().any(|unit| key.ends_with(unit)) => {
            text.parse::<i64>().map_or_else(|_| text.into(), toml::Value::from)
        }
        (_, text) => text.into(),
    };
    table.insert(last.clone(), typed);
}
