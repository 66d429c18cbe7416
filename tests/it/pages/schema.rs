//! Whether a page's JSON twin is what its schema says.

use serde_json::Value;

pub(super) fn fits(schema: &str, body: &Value, path: &str) {
    let file = format!("{}/tests/schemas/{schema}.json", env!("CARGO_MANIFEST_DIR"));
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
    check(&schema, body, path);
}

/// The part of JSON Schema the files use: type, required, properties, items.
fn check(schema: &Value, value: &Value, at: &str) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    match &schema["type"] {
        Value::String(wanted) => assert_eq!(wanted, kind, "{at}"),
        Value::Array(wanted) => assert!(wanted.contains(&kind.into()), "{at}: {kind}"),
        _ => {}
    }
    if let Some(object) = value.as_object() {
        for name in schema["required"].as_array().into_iter().flatten() {
            assert!(object.contains_key(name.as_str().unwrap()), "{at} lacks {name}");
        }
        for (name, member) in object {
            if let Some(known) = schema["properties"].get(name) {
                check(known, member, &format!("{at} {name}"));
            }
        }
    }
    for (index, item) in value.as_array().into_iter().flatten().enumerate() {
        check(&schema["items"], item, &format!("{at}[{index}]"));
    }
}
