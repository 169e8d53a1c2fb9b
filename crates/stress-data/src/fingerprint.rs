//! What must stay the same for a resumed run to be one run: plan, settings, binary, machine.

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::matrix::{Cell, PlanName};
use crate::measurement::Settings;
use crate::schedule::Order;

/// The whole of it, not a hash: so that a difference can be named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fingerprint {
    /// What the plan is called.
    #[serde(default, skip_serializing_if = "PlanName::is_standard")]
    pub plan: PlanName,
    /// The plan.
    pub cells: Vec<Cell>,
    /// How many cells the plan has without filters.
    pub full_len: u32,
    /// Samples of each cell.
    pub repeats: u32,
    /// The order of the samples.
    pub order: Order,
    /// How cells are measured.
    pub settings: Settings,
    /// CRC-32 of the `--server-cmd` as it was typed, eight hexadecimal digits: the paths that `settings` leaves
    /// out may be what tells two of them apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_cmd_crc32: Option<String>,
    /// The program.
    pub binary: Binary,
    /// The machine.
    pub machine: Machine,
}

impl Fingerprint {
    /// What differs from `other`, in words; nothing if a run of one may go on as the other.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut all = vec![
            self.pair("number of rows", other, |it| it.cells.len().to_string()),
            self.pair("--repeat", other, |it| it.repeats.to_string()),
            self.pair("--order", other, |it| it.order.as_str().into()),
        ];
        all.extend(self.made_with(other));
        if self.settings.server == other.settings.server {
            all.push(
                self.pair("--server-cmd with all of its paths", other, |it| {
                    format!("CRC-32 {}", it.server_cmd_crc32.as_deref().unwrap_or("-"))
                }),
            );
        }
        all.push(self.pair("program", other, |it| it.binary.to_string()));
        let different = all.iter().filter(|(_, ours, theirs)| ours != theirs);
        let mut found: Vec<String> = different
            .map(|(what, ours, theirs)| format!("{what}: {ours} in the run, {theirs} now"))
            .collect();
        if found.is_empty() && self != other {
            found.push("rows: other ones in the run".into());
        }
        found
    }

    /// The name of each difference in settings, machine and program, with both values as text.
    #[must_use]
    pub fn conditions(&self, other: &Self) -> Vec<Pair> {
        let mut all = self.made_with(other);
        all.push(self.pair("program", other, |it| it.binary.to_string()));
        let plain = |text: &str| text.trim_matches('"').to_owned();
        all.into_iter()
            .filter(|(_, ours, theirs)| ours != theirs)
            .map(|(name, ours, theirs)| (name, plain(&ours), plain(&theirs)))
            .collect()
    }

    /// What differs between the servers of two rows of this run.
    #[must_use]
    pub fn conditions_of(&self, one: &Cell, other: &Cell) -> Vec<Pair> {
        let fields = fields(&*self.settings.of(one), &*self.settings.of(other));
        let different = fields.into_iter().filter(|(_, one, other)| one != other);
        different.collect()
    }

    /// The row that stands beside `cell`, of the subject that the others are compared with; none of its own rows, and where
    /// there is one server only.
    #[must_use]
    pub fn reference(&self, cell: &Cell) -> Option<&Cell> {
        let reference = Some(&self.settings.subjects.first()?.name);
        let mut cells = self.cells.iter();
        cells
            .find(|it| it.subject.as_ref() == reference && it.is_beside(cell))
            .filter(|it| it.number != cell.number)
    }

    fn pair(&self, name: &str, other: &Self, text: fn(&Self) -> String) -> Pair {
        (name.into(), text(self), text(other))
    }

    fn made_with(&self, other: &Self) -> Vec<Pair> {
        let settings = fields(&self.settings, &other.settings);
        [settings, fields(&self.machine, &other.machine)].concat()
    }
}

/// What is compared, and its two values.
type Pair = (String, String, String);

/// The fields of two values of one type, by name, as their JSON.
fn fields(ours: &impl Serialize, theirs: &impl Serialize) -> Vec<Pair> {
    let object = |value: serde_json::Result<serde_json::Value>| match value {
        Ok(serde_json::Value::Object(map)) => map,
        _ => serde_json::Map::new(),
    };
    let (ours, theirs) = (
        object(serde_json::to_value(ours)),
        object(serde_json::to_value(theirs)),
    );
    let text = |map: &serde_json::Map<_, serde_json::Value>, name: &String| {
        map.get(name).map(ToString::to_string).unwrap_or_default()
    };
    // What one side leaves out, being the usual, is a difference too.
    let only_theirs = theirs.keys().filter(|name| !ours.contains_key(*name));
    let names = ours.keys().chain(only_theirs);
    let field = |name: &String| (name.clone(), text(&ours, name), text(&theirs, name));
    names.map(field).collect()
}

/// An executable, told apart by what it contains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Binary {
    /// Its length.
    pub bytes: u64,
    /// CRC-32 of its content, eight hexadecimal digits.
    pub crc32: String,
}

impl std::fmt::Display for Binary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes with CRC-32 {}", self.bytes, self.crc32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::Selection;
    use crate::testing;

    #[test]
    fn equal_fingerprints_differ_in_nothing() {
        let ours = testing::header(&Selection::default(), 1).fingerprint;
        assert_eq!(ours.differences(&ours.clone()), Vec::<String>::new());
    }

    #[test]
    fn every_difference_is_named_with_both_values() {
        let ours = testing::header(&Selection::default(), 1).fingerprint;
        let check = |change: fn(&mut Fingerprint), want: &str| {
            let mut theirs = ours.clone();
            change(&mut theirs);
            assert_eq!(ours.differences(&theirs), [want]);
        };
        check(|it| it.repeats = 5, "--repeat: 1 in the run, 5 now");
        check(
            |it| it.order = Order::Listed,
            "--order: interleaved in the run, listed now",
        );
        check(|it| it.settings.seed = 2, "seed: 1 in the run, 2 now");
        check(|it| it.machine.cores = 4, "cores: 2 in the run, 4 now");
        check(
            |it| it.settings.server_args = vec!["--set-aside".into()],
            "server_args:  in the run, [\"--set-aside\"] now",
        );
        check(
            |it| it.server_cmd_crc32 = Some("00000002".into()),
            "--server-cmd with all of its paths: CRC-32 - in the run, CRC-32 00000002 now",
        );
        check(
            |it| it.cells.truncate(3),
            "number of rows: 81 in the run, 3 now",
        );
        check(|it| it.cells[0].volume = 7, "rows: other ones in the run");
        check(
            |it| it.binary.bytes = 4,
            "program: 3 bytes with CRC-32 00000001 in the run, 4 bytes with CRC-32 00000001 now",
        );
    }
}
