//! The texts of the report: `texts/en.toml` and `texts/id.toml`, one key a sentence. A text has placeholders such as
//! `{row}`; one that differs for a single thing has the forms `one` and `other`.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::LazyLock;

use toml::{Table, Value};

/// The English texts.
pub(crate) static EN: LazyLock<Texts> =
    LazyLock::new(|| Texts::new(include_str!("../texts/en.toml")));
/// The Indonesian texts.
pub(crate) static ID: LazyLock<Texts> =
    LazyLock::new(|| Texts::new(include_str!("../texts/id.toml")));

/// What a placeholder's name stands for.
pub(crate) type Values<'a> = [(&'a str, &'a dyn Display)];

/// The texts of one language, by key: `findings.spread`.
pub(crate) struct Texts(BTreeMap<String, Forms>);

struct Forms {
    /// Of one thing, where the language has a form of its own for that.
    one: Option<String>,
    other: String,
}

impl Texts {
    fn new(toml: &str) -> Self {
        let mut found = BTreeMap::new();
        let table: Table = toml.parse().expect("a test reads the embedded texts");
        flatten(String::new(), table, &mut found);
        Self(found)
    }

    /// The text of `key`. A test finds every key of the code in both files, so none is missing here.
    pub(crate) fn text(&self, key: &str) -> &str {
        &self.forms(key).other
    }

    /// The text of `key` for so many things.
    pub(crate) fn text_of(&self, key: &str, number: u64) -> &str {
        let forms = self.forms(key);
        let one = forms.one.as_ref().filter(|_| number == 1);
        one.unwrap_or(&forms.other)
    }

    fn forms(&self, key: &str) -> &Forms {
        self.0.get(key).unwrap_or_else(|| panic!("no text {key}"))
    }
}

fn flatten(key: String, table: Table, found: &mut BTreeMap<String, Forms>) {
    for (name, value) in table {
        let key = match key.is_empty() {
            true => name,
            false => format!("{key}.{name}"),
        };
        let text = |name: &str| Some(value.get(name)?.as_str()?.to_owned());
        match (text("one"), text("other"), value) {
            (one @ Some(_), Some(other), _) => {
                found.insert(key, Forms { one, other });
            }
            (.., Value::Table(inner)) => flatten(key, inner, found),
            (.., Value::String(other)) => {
                found.insert(key, Forms { one: None, other });
            }
            (.., other) => panic!("{key} is no text: {other:?}"),
        }
    }
}

/// `text` with each placeholder replaced by its value. A test finds the same names in the code as in the texts.
pub(crate) fn filled(text: &str, values: &Values<'_>) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, (name, after))) = placeholder(rest) {
        let value = values.iter().find(|(known, _)| *known == name);
        let (_, value) = value.unwrap_or_else(|| panic!("no value for {{{name}}} of “{text}”"));
        out += before;
        out += &value.to_string();
        rest = after;
    }
    out + rest
}

/// What stands before the first placeholder, its name, and what stands after it.
fn placeholder(text: &str) -> Option<(&str, (&str, &str))> {
    let (before, rest) = text.split_once('{')?;
    Some((before, rest.split_once('}')?))
}

/// The text of a key with its placeholders filled: `say!(lang, "findings.spread", half, row = self.row())`.
macro_rules! say {
    ($lang:expr, $key:literal $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        $lang.say($key, &[$((stringify!($name), $crate::texts::value!($name $(= $value)?))),*])
    };
}

/// The same for `{number}` things: `count!(lang, "findings.rows", number)`.
macro_rules! count {
    ($lang:expr, $key:literal, $number:expr $(, $name:ident $(= $value:expr)?)* $(,)?) => {
        $lang.count($key, $number, &[$((stringify!($name), $crate::texts::value!($name $(= $value)?))),*])
    };
}

macro_rules! value {
    ($name:ident) => {
        &$name
    };
    ($name:ident = $value:expr) => {
        &$value
    };
}

pub(crate) use {count, say, value};

#[cfg(test)]
mod tests;
