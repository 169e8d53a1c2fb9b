//! `--fail-on`: conditions on the columns of the table that must not hold for any row, for scripts and CI.

use std::fmt;
use std::str::FromStr;

use crate::summary::{Row, csv};

/// What stands above the grammar.
pub const GRAMMAR_LEAD: &str = "Conditions of --fail-on (one that holds for any row is enough)";

/// The grammar, for `--help` and the manual.
pub const GRAMMAR: &str = "  COLUMN OP VALUE    any column of summary.csv; OP is = != < <= > or >=, and == is =
  clients_failed>0   numbers as in the table; sizes too: aggregate_bytes_per_s<100M
  status!=ok         words take = and != only
  flags=steal        a row has several flags: = asks whether it is among them
  makespan_s=        without a VALUE: the value is missing, or with != not; it fulfils nothing else";

/// A condition on one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    column: &'static str,
    comparison: Comparison,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Missing,
    Number(f64),
    Word(String),
}

/// The longer ones first: `<=` begins with `<`.
const OPERATORS: [(&str, Comparison); 7] = [
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("=", Comparison::Equal),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

/// What a row looks like that a condition holds for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The row's number.
    pub number: u32,
    /// The condition, as it is understood.
    pub condition: String,
    /// What stands in its column.
    pub value: String,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.value.as_str() {
            "" => "nothing",
            value => value,
        };
        write!(
            f,
            "--fail-on {}: no {} has {value}",
            self.condition, self.number
        )
    }
}

/// All rows that one of `conditions` holds for, by condition.
#[must_use]
pub fn hits(conditions: &[Condition], rows: &[Row]) -> Vec<Hit> {
    let pairs = conditions
        .iter()
        .flat_map(|condition| rows.iter().map(move |row| (condition, row)));
    pairs
        .filter_map(|(condition, row)| {
            let value = csv::value(row, condition.column)?;
            condition.holds(&value).then(|| Hit {
                number: row.cell.number,
                condition: condition.to_string(),
                value,
            })
        })
        .collect()
}

impl Condition {
    fn holds(&self, found: &str) -> bool {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        let is_equal = match &self.value {
            Value::Missing => found.is_empty(),
            Value::Word(word) if self.column == "flags" => {
                found.split(' ').any(|flag| flag == word)
            }
            Value::Word(word) => found == word,
            Value::Number(number) => {
                let Ok(found) = found.parse::<f64>() else {
                    return false;
                };
                return match self.comparison {
                    Equal => found == *number,
                    NotEqual => found != *number,
                    Less => found < *number,
                    LessOrEqual => found <= *number,
                    Greater => found > *number,
                    GreaterOrEqual => found >= *number,
                };
            }
        };
        match self.comparison {
            Equal => is_equal,
            NotEqual => !is_equal,
            // Refused when it was read.
            Less | LessOrEqual | Greater | GreaterOrEqual => false,
        }
    }
}

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let name = text.trim_start();
        let name_len = name
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(name.len());
        let (name, rest) = name.split_at(name_len);
        let column = csv::columns().find(|column| *column == name);
        let Some(column) = column else {
            let columns: Vec<&str> = csv::columns().collect();
            return Err(format!(
                "'{name}' is no column of summary.csv; these are: {}",
                columns.join(", ")
            ));
        };
        let rest = rest.trim_start();
        let operator = OPERATORS.iter().find(|(word, _)| rest.starts_with(word));
        let Some((word, comparison)) = operator else {
            return Err(format!(
                "a comparison must follow {column}: = != < <= > or >=, then a value, as in 'clients_failed>0'"
            ));
        };
        let value = value(column, *comparison, rest[word.len()..].trim())?;
        Ok(Self {
            column,
            comparison: *comparison,
            value,
        })
    }
}

fn value(column: &str, comparison: Comparison, text: &str) -> Result<Value, String> {
    let is_equality = matches!(comparison, Comparison::Equal | Comparison::NotEqual);
    match text {
        "" if is_equality => return Ok(Value::Missing),
        "" => return Err(format!("a value is missing after {column}")),
        _ => {}
    }
    if csv::is_text(column) {
        return match is_equality {
            true => Ok(Value::Word(text.to_owned())),
            false => Err(format!("{column} holds words: compare it with = or !=")),
        };
    }
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b".-+".contains(&byte));
    let number = match text.parse::<f64>() {
        Ok(number) if is_plain => Some(number),
        _ if column.contains("bytes") => crate::size::parse(text).ok().map(|bytes| bytes as f64),
        _ => None,
    };
    number.map(Value::Number).ok_or_else(|| {
        let example = match column {
            column if column.contains("bytes") => "100M or 1000000",
            column if column.ends_with("_s") => "2 or 0.5, in seconds",
            _ => "0 or 5",
        };
        format!("'{text}' is no number to compare {column} with: write {example}")
    })
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = OPERATORS
            .iter()
            .rev()
            .find(|(_, comparison)| *comparison == self.comparison)
            .map_or("", |(word, _)| word);
        write!(f, "{}{word}", self.column)?;
        match &self.value {
            Value::Missing => Ok(()),
            Value::Number(number) => write!(f, "{number}"),
            Value::Word(word) => f.write_str(word),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(condition: &str, found: &str) -> bool {
        let condition: Condition = condition.parse().unwrap();
        condition.holds(found)
    }

    #[test]
    fn conditions_hold_for_what_they_say() {
        assert!(holds("clients_failed>0", "1"));
        assert!(!holds("clients_failed>0", "0"));
        assert!(holds("makespan_s > 2", "2.000001"));
        assert!(!holds("makespan_s>2", "2.000000"));
        assert!(holds("makespan_s>=2", "2.000000"));
        assert!(holds("makespan_s<=2", "2.000000"));
        assert!(holds("no==5", "5") && holds("no=5", "5") && holds("no!=5", "6"));
        assert!(holds("aggregate_bytes_per_s<100M", "104857599"));
        assert!(!holds("aggregate_bytes_per_s<100M", "104857600"));
        assert!(holds("status!=ok", "failed") && !holds("status!=ok", "ok"));
        assert!(holds("flags=steal", "busy_machine steal"));
        assert!(!holds("flags=steal", "") && holds("flags!=steal", "outlier"));
    }

    #[test]
    fn a_missing_value_fulfils_only_what_asks_for_it() {
        for condition in [
            "makespan_s>0",
            "makespan_s<9",
            "makespan_s!=1",
            "makespan_s=0",
        ] {
            assert!(!holds(condition, ""), "{condition}");
        }
        assert!(holds("makespan_s=", "") && !holds("makespan_s=", "1.0"));
        assert!(holds("makespan_s!=", "1.0") && !holds("makespan_s!=", ""));
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_write() {
        let check = |text: &str, part: &str| {
            let error = text.parse::<Condition>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        };
        check(
            "speed>1",
            "'speed' is no column of summary.csv; these are: no, operation, ",
        );
        check("", "'' is no column");
        check(
            "makespan_s",
            "a comparison must follow makespan_s: = != < <= > or >=",
        );
        check("makespan_s~2", "a comparison must follow");
        check("makespan_s>", "a value is missing after makespan_s");
        check("makespan_s>2s", "write 2 or 0.5, in seconds");
        check("makespan_s>inf", "write 2 or 0.5");
        check("volume_bytes>many", "write 100M or 1000000");
        check("clients_failed>1K", "write 0 or 5");
        check("status>ok", "status holds words: compare it with = or !=");
    }

    #[test]
    fn a_condition_is_shown_as_it_can_be_typed() {
        for text in [
            "clients_failed>0",
            "makespan_s<=2.5",
            "status!=ok",
            "makespan_s=",
        ] {
            assert_eq!(text.parse::<Condition>().unwrap().to_string(), text);
        }
        let hit = Hit {
            number: 7,
            condition: "status!=ok".into(),
            value: "failed".into(),
        };
        assert_eq!(hit.to_string(), "--fail-on status!=ok: no 7 has failed");
    }
}
