//! `--fail-on`: conditions on the columns of the table that must not hold for any row, for scripts and CI.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::fault::Fault;
use crate::matrix::{ClientPool, DURABILITIES, Operation, ServerPool};
use crate::measurement::Status;
use crate::record::Outcome;
use crate::summary::csv::{self, Column, Field};
use crate::summary::{Flag, Row};

/// What stands above the grammar.
pub const GRAMMAR_LEAD: &str = "Conditions of --fail-on (one that holds for any row is enough)";

/// The grammar, for `--help` and the manual.
pub const GRAMMAR: &str =
    "  COLUMN OP VALUE    any column of summary.csv; OP is = != < <= > or >=, and == is =
  clients_failed>0   numbers as in the table; sizes too: aggregate_bytes_per_s<100M
  status!=ok         words take = and != only
  flags=steal        a row has several flags: = asks whether it is among them
  makespan_s=        without a VALUE: the value is missing, or with != not; it fulfils nothing else
A condition on a column in which no row has a value judges nothing, and ends with 4 too.";

/// A condition on one column.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    column: &'static str,
    /// One of [`OPERATORS`].
    operator: &'static str,
    value: Value,
}

#[derive(Debug, Clone, PartialEq)]
enum Value {
    Missing,
    Number(f64),
    Word(String),
}

/// Its word, and how a value must lie to the one that is given.
type Operator = (&'static str, fn(Ordering) -> bool);

/// The longer ones first: `<=` begins with `<`.
const OPERATORS: [Operator; 7] = [
    ("==", Ordering::is_eq),
    ("!=", Ordering::is_ne),
    ("<=", Ordering::is_le),
    (">=", Ordering::is_ge),
    ("=", Ordering::is_eq),
    ("<", Ordering::is_lt),
    (">", Ordering::is_gt),
];

/// What a row looks like that a condition holds for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The row's number.
    pub number: u32,
    /// The condition, as it is understood.
    pub condition: String,
    /// Its column.
    pub column: &'static str,
    /// What stands there.
    pub value: String,
}

impl fmt::Display for Hit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match self.value.as_str() {
            "" => "empty",
            value => value,
        };
        write!(
            f,
            "--fail-on {}: row {}: {} is {value}",
            self.condition, self.number, self.column
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
            let value = csv::field(row, condition.column);
            condition.holds(&value).then(|| Hit {
                number: row.cell.number,
                condition: condition.to_string(),
                column: condition.column,
                value: value.to_string(),
            })
        })
        .collect()
}

/// What is said of each of `conditions` that could hold for no row, because none has a value in its column: a gate that
/// judges nothing is not passed.
#[must_use]
pub fn unjudged(conditions: &[Condition], rows: &[Row]) -> Vec<String> {
    let has_value = |condition: &Condition| {
        let mut rows = rows.iter();
        rows.any(|row| !csv::field(row, condition.column).is_missing())
    };
    // Whoever asks for a missing value has it judged; and a row without a flag has none of them.
    let needs_value =
        |it: &&Condition| it.value != Value::Missing && it.column != "flags" && !has_value(it);
    let unjudged = conditions.iter().filter(needs_value);
    unjudged
        .map(|condition| {
            let column = condition.column;
            format!("--fail-on {condition}: no row has a value of {column}, so nothing was judged; '{column}=' is fulfilled by a value that is missing")
        })
        .collect()
}

impl Condition {
    fn holds(&self, found: &Field) -> bool {
        // Words take = and != only.
        let equal = |is_equal| match is_equal {
            true => Some(Ordering::Equal),
            false => Some(Ordering::Less),
        };
        let ordering = match (&self.value, found) {
            (Value::Missing, found) => equal(found.is_missing()),
            (Value::Word(word), Field::Text(flags)) if self.column == "flags" => {
                equal(flags.split(' ').any(|flag| flag == word))
            }
            (Value::Word(word), found) => equal(*found == Field::Text(word.clone())),
            (Value::Number(number), found) => found.number().and_then(|it| it.partial_cmp(number)),
        };
        let mut operators = OPERATORS.iter();
        let operator = operators.find(|(word, _)| *word == self.operator);
        operator
            .zip(ordering)
            .is_some_and(|((_, holds), it)| holds(it))
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
        let Some((name, column)) = csv::column(name) else {
            let columns: Vec<&str> = csv::columns().collect();
            return Err(format!(
                "unknown column '{name}'; the columns of summary.csv are: {}",
                columns.join(", ")
            ));
        };
        let rest = rest.trim_start();
        let operator = OPERATORS.iter().find(|(word, _)| rest.starts_with(word));
        let Some((operator, _)) = operator else {
            return Err(format!(
                "a comparison must follow {name}: = != < <= > or >=, then a value, as in 'clients_failed>0'"
            ));
        };
        let value = value((name, column), operator, rest[operator.len()..].trim())?;
        Ok(Self {
            column: name,
            operator: if *operator == "==" { "=" } else { operator },
            value,
        })
    }
}

fn value((name, column): (&str, Column), operator: &str, text: &str) -> Result<Value, String> {
    let is_equality = ["=", "==", "!="].contains(&operator);
    match text {
        "" if is_equality => return Ok(Value::Missing),
        "" => return Err(format!("a value is missing after {name}")),
        _ => {}
    }
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b".-+".contains(&byte));
    let plain = text.parse::<f64>().ok().filter(|_| is_plain);
    let size = || crate::size::parse(text).ok().map(|bytes| bytes as f64);
    let (number, example) = match column {
        Column::Words(_) if is_equality => return word(name, text).map(Value::Word),
        Column::Words(_) => return Err(format!("{name} holds words: compare it with = or !=")),
        Column::Bytes(_) => (plain.or_else(size), "100M or 1000000"),
        Column::Seconds(_) => (plain, "2 or 0.5, in seconds"),
        Column::Count(_) | Column::Share(_) => (plain, "0 or 5"),
    };
    let wrong = || format!("invalid number '{text}' for {name}: write {example}");
    number.map(Value::Number).ok_or_else(wrong)
}

/// A word that can stand in `column`, as it stands there: a condition on another could never hold.
fn word(column: &str, text: &str) -> Result<String, String> {
    let words: Vec<&str> = match column {
        "volume" => return Ok(crate::size::format(crate::size::parse(text)?)),
        "fault" => return Ok(text.parse::<Fault>()?.to_string()),
        "operation" => Operation::ALL.map(Operation::as_str).into(),
        "client_pool" => ClientPool::ALL.map(ClientPool::as_str).into(),
        "server_pool" => ServerPool::ALL.map(ServerPool::as_str).into(),
        "durability" => DURABILITIES.into(),
        "status" => Status::ALL.map(Status::as_str).into(),
        "top_outcome" => Outcome::ALL.map(Outcome::as_str).into(),
        "flags" => Flag::ALL.map(Flag::as_str).into(),
        _ => return Ok(text.to_owned()),
    };
    match words.contains(&text) {
        true => Ok(text.to_owned()),
        false => Err(format!(
            "unknown {column} '{text}': write one of {}",
            words.join(", ")
        )),
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.column, self.operator)?;
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
    use crate::matrix::Selection;
    use crate::{summary, testing};

    fn holds(condition: &str, found: &str) -> bool {
        let condition: Condition = condition.parse().unwrap();
        let found = match found {
            found if csv::is_text(condition.column) => Field::Text(found.into()),
            "" => Field::Missing,
            found if condition.column.ends_with("_s") && found.contains('.') => {
                let seconds: f64 = found.parse().unwrap();
                Field::Number((seconds * 1e6).round() as u64, 6)
            }
            found => Field::Number(found.parse().unwrap(), 0),
        };
        condition.holds(&found)
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
    fn every_word_of_a_row_is_one_that_a_condition_takes() {
        assert!(holds("volume=50MiB", "50M") && holds("fault=silent-client:1", "silent-client"));
        let contents = testing::contents(&Selection::default(), 1);
        for row in summary::rows(&contents) {
            for column in csv::columns().filter(|column| csv::is_text(column)) {
                let value = csv::field(&row, column).to_string();
                assert!(
                    holds(&format!("{column}={value}"), &value),
                    "{column}={value}"
                );
            }
        }
    }

    #[test]
    fn a_condition_on_what_no_row_has_is_not_passed() {
        // Not one row was measured.
        let rows = summary::rows(&testing::contents(&Selection::default(), 1));
        let unjudged = |condition: &str| {
            let conditions = [condition.parse().unwrap()];
            assert_eq!(hits(&conditions, &rows), []);
            unjudged(&conditions, &rows).len()
        };
        for condition in ["makespan_s>2", "clients_failed>0", "top_outcome=reset"] {
            assert_eq!(unjudged(condition), 1, "{condition}");
        }
        for condition in [
            "status=ok",
            "flags=steal",
            "makespan_s!=",
            "samples>0",
            "no>99",
        ] {
            assert_eq!(unjudged(condition), 0, "{condition}");
        }
        let conditions = ["server_cpu_s>1".parse().unwrap()];
        let said = super::unjudged(&conditions, &rows);
        assert!(
            said[0].starts_with("--fail-on server_cpu_s>1: no row has a value"),
            "{said:?}"
        );
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
            "unknown column 'speed'; the columns of summary.csv are: no, operation, ",
        );
        check("", "unknown column ''");
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
        // Words that no row can have.
        check(
            "status=fialed",
            "unknown status 'fialed': write one of ok, failed, timeout",
        );
        check("flags=busy", "write one of busy_machine, steal");
        check(
            "top_outcome!=okay",
            "unknown top_outcome 'okay': write one of ok, server_error",
        );
        check("operation=get", "write one of download, upload, list");
        check("server_pool=prefork", "write one of process, thread, event");
        check("client_pool=event", "write one of thread, process");
        check("durability=some", "none, data, full");
        check("volume=big", "invalid size 'big'");
        check("fault=explode", "unknown fault 'explode'");
    }

    #[test]
    fn a_condition_is_shown_as_it_can_be_typed() {
        for text in [
            "clients_failed>0",
            "makespan_s<=2.5",
            "status!=ok",
            "makespan_s=",
            "volume=50M",
            "fault=silent-client:5",
        ] {
            assert_eq!(text.parse::<Condition>().unwrap().to_string(), text);
        }
        let hit = Hit {
            number: 7,
            condition: "status!=ok".into(),
            column: "status",
            value: "failed".into(),
        };
        assert_eq!(
            hit.to_string(),
            "--fail-on status!=ok: row 7: status is failed"
        );
    }
}
