//! Tool definitions written out as a provider shows them to its model: a TypeScript namespace.
//!
//! The form is no published format; it was inferred by others from token counts and is held to
//! theirs by test. Where a schema has something the form is not known for, `any` is written.

use std::collections::HashSet;

use super::body::Json;

/// Schemas nested deeper are written as `any`: the writer recurses, and the sender sets the depth.
const DEEPEST_SCHEMA: usize = 32;

/// From this indentation on, the descriptions of members are left out.
const DESCRIBED_INDENT: usize = 2;

/// A function offered to the model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tool<'a> {
    /// Its name.
    pub(super) name: &'a str,
    /// What it is for.
    pub(super) description: Option<&'a str>,
    /// The JSON schema of its arguments.
    pub(super) parameters: &'a Json<'a>,
}

/// All definitions as the model reads them.
pub(super) fn namespace(tools: &[Tool<'_>]) -> String {
    let mut out = String::from("namespace functions {\n\n");
    for tool in tools {
        if let Some(description) = tool.description.filter(|text| !text.is_empty()) {
            out.push_str("// ");
            out.push_str(description);
            out.push('\n');
        }
        out.push_str("type ");
        out.push_str(tool.name);
        if tool.parameters.get("properties").fields().is_empty() {
            out.push_str(" = () => any;\n\n");
        } else {
            out.push_str(" = (_: {\n");
            write_members(&mut out, tool.parameters, 0, 0);
            out.push_str("\n}) => any;\n\n");
        }
    }
    out.push_str("} // namespace functions");
    out
}

fn write_members(out: &mut String, object: &Json<'_>, indent: usize, depth: usize) {
    let required: HashSet<&str> =
        object.get("required").items().iter().filter_map(Json::text).collect();
    for (index, (name, schema)) in object.get("properties").fields().iter().enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let description = schema.get("description").text().filter(|text| !text.is_empty());
        if let Some(description) = description.filter(|_| indent < DESCRIBED_INDENT) {
            out.extend(std::iter::repeat_n(' ', indent));
            out.push_str("// ");
            out.push_str(description);
            out.push('\n');
        }
        out.extend(std::iter::repeat_n(' ', indent));
        out.push_str(name);
        out.push_str(if required.contains(name.as_ref()) { ": " } else { "?: " });
        write_type(out, schema, indent, depth + 1);
        out.push(',');
    }
}

fn write_type(out: &mut String, schema: &Json<'_>, indent: usize, depth: usize) {
    if depth > DEEPEST_SCHEMA {
        out.push_str("any");
        return;
    }
    let choices = ["anyOf", "oneOf"].iter().find_map(|name| match schema.get(name) {
        Json::List(choices) => Some(choices),
        _ => None,
    });
    if let Some(choices) = choices {
        write_choices(out, choices, |out, choice| write_type(out, choice, indent, depth + 1));
        return;
    }
    if let Json::List(values) = schema.get("enum") {
        write_choices(out, values, |out, value| out.push_str(&value.to_string()));
        return;
    }
    match schema.get("type") {
        Json::List(kinds) => write_choices(out, kinds, |out, kind| {
            write_named_type(out, kind.text().unwrap_or("any"), schema, indent, depth);
        }),
        kind => write_named_type(out, kind.text().unwrap_or("any"), schema, indent, depth),
    }
}

fn write_named_type(out: &mut String, kind: &str, schema: &Json<'_>, indent: usize, depth: usize) {
    match kind {
        "integer" => out.push_str("number"),
        "object" => {
            out.push_str("{\n");
            write_members(out, schema, indent + 2, depth);
            out.push_str("\n}");
        }
        "array" => {
            match schema.get("items") {
                Json::Null => out.push_str("any"),
                items => write_type(out, items, indent, depth + 1),
            }
            out.push_str("[]");
        }
        "string" | "number" | "boolean" | "null" => out.push_str(kind),
        _ => out.push_str("any"),
    }
}

fn write_choices<'a, 'j: 'a>(
    out: &mut String,
    choices: &'a [Json<'j>],
    mut write: impl FnMut(&mut String, &'a Json<'j>),
) {
    for (index, choice) in choices.iter().enumerate() {
        if index > 0 {
            out.push_str(" | ");
        }
        write(out, choice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(parameters: &str) -> String {
        let parameters = Json::read(parameters.as_bytes()).unwrap();
        namespace(&[Tool { name: "f", description: Some("Do f"), parameters: &parameters }])
    }

    #[test]
    fn a_schema_is_written_as_a_type() {
        let text = rendered(
            r#"{"type":"object","required":["a"],"properties":{
                "a":{"type":"string","enum":["x","y"],"description":"Which"},
                "b":{"type":"array","items":{"type":"integer"}},
                "c":{"type":"object","properties":{"d":{"type":["boolean","null"],"description":"unsaid"}}},
                "e":{"anyOf":[{"type":"number"},{"$ref":"elsewhere"}]}}}"#,
        );
        let expected = "namespace functions {\n\n// Do f\ntype f = (_: {\n// Which\na: \"x\" | \"y\",\n\
            b?: number[],\nc?: {\n  d?: boolean | null,\n},\ne?: number | any,\n}) => any;\n\n\
            } // namespace functions";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_schema_nested_beyond_reason_ends_in_any() {
        let deep = r#"{"type":"array","items":"#.repeat(100) + "{}" + &"}".repeat(100);
        let text = rendered(&format!(r#"{{"type":"object","properties":{{"a":{deep}}}}}"#));
        assert!(text.contains("any[][]"), "{text}");
    }
}
