//! `docs/schemas`: what the programs write as JSON, made from the types that write it. For the tests of whoever has one.

use std::fs;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use schemars::{JsonSchema, Schema};
use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schemas");

/// Holds `docs/schemas/NAME.json` to the type, which says `what` it is.
pub(crate) fn keep<T: JsonSchema>(name: &str, what: &str) {
    keep_as(name, what, of::<T>());
}

/// The schema of what is written of the type.
pub(crate) fn of<T: JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<T>()
}

/// Holds the file to a schema.
#[allow(
    clippy::disallowed_methods,
    reason = "the server's rule about paths is not one of its tests"
)]
pub(crate) fn keep_as(name: &str, what: &str, mut schema: Schema) {
    schema.insert("title".into(), what.into());
    schema.remove("description");
    RecursiveTransform(closed).transform(&mut schema);
    undescribed(name, schema.as_value());
    let text = serde_json::to_string_pretty(&schema).expect("it is JSON") + "\n";
    let path = format!("{FOLDER}/{name}.json");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &text).expect("docs/schemas can be written");
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == text,
        "docs/schemas/{name}.json is not what its type says: UPDATE_DOCS=1 cargo test --workspace schemas writes all of them \
         anew, and the difference in git is what to look at"
    );
}

/// Nobody else writes these: what is not named is wrong. And a description is a text, not a line of the sources.
fn closed(schema: &mut Schema) {
    if schema.get("properties").is_some() && schema.get("$ref").is_none() {
        schema.insert("additionalProperties".into(), false.into());
    }
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = plain(text);
    }
}

/// Without the breaks of lines within a paragraph, and without the links of the source's documentation.
fn plain(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|it| it.replace('\n', " "));
    let text = paragraphs.collect::<Vec<_>>().join("\n\n");
    let text = text.replace("[`", "`").replace("`]", "`");
    let words = text
        .split('`')
        .enumerate()
        .map(|(place, part)| match part.rsplit_once("::") {
            Some((_, last)) if place % 2 == 1 => last,
            _ => part,
        });
    words.collect::<Vec<_>>().join("`")
}

/// A property that says nothing is as good as none. One that refers to a type has what that says, and the only one of an enum's
/// value what is said of the value.
fn undescribed(name: &str, value: &Value) {
    if let Some(Value::Object(properties)) = value.get("properties") {
        let is_value = properties.len() == 1 && value.get("description").is_some();
        for (property, schema) in properties {
            let says = |key: &&str| schema.get(key).is_some();
            let is_said = is_value || ["description", "const", "$ref"].iter().any(says);
            assert!(is_said, "{name}: '{property}' has no description: {schema}");
        }
    }
    match value {
        Value::Object(map) => map.values().for_each(|inner| undescribed(name, inner)),
        Value::Array(values) => values.iter().for_each(|inner| undescribed(name, inner)),
        _ => {}
    }
}
