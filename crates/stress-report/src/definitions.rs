//! What every column and every word of the tables means: the tables `definitions` of `texts/en.toml` and
//! `texts/id.toml`. `docs/COLUMNS.md` and the report's definitions are made from this, and a test holds the files to the
//! columns and words that there are.

use stress_data::measurement::Status;
use stress_data::record::Outcome;
use stress_data::summary::{Flag, csv};

use super::lang::Lang;

/// A column or a word, and what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Definition {
    /// The column or the word.
    pub(crate) name: &'static str,
    /// Where the files of texts have it.
    table: &'static str,
}

impl Definition {
    /// What it means.
    pub(crate) fn meaning(&self, lang: Lang) -> &'static str {
        lang.text(&self.key())
    }

    pub(crate) fn key(&self) -> String {
        format!("definitions.{}.{}", self.table, self.name)
    }
}

fn define(table: &'static str, names: impl IntoIterator<Item = &'static str>) -> Vec<Definition> {
    let names = names.into_iter();
    names.map(|name| Definition { name, table }).collect()
}

/// The columns of `summary.csv`, in order.
pub(crate) fn summary() -> Vec<Definition> {
    define("summary", csv::columns())
}

/// The values of `status`.
pub(crate) fn statuses() -> Vec<Definition> {
    define("statuses", Status::ALL.map(Status::as_str))
}

/// The values of `outcome` and `top_outcome`.
pub(crate) fn outcomes() -> Vec<Definition> {
    define("outcomes", Outcome::ALL.map(Outcome::as_str))
}

/// The words of `flags`.
pub(crate) fn flags() -> Vec<Definition> {
    define("flags", Flag::ALL.map(Flag::as_str))
}

#[cfg(test)]
fn clients() -> Vec<Definition> {
    let own = |name: &&str| csv::columns().all(|shared| shared != *name);
    let columns = || stress_data::summary::clients::columns();
    let table = |name: &str| if own(&name) { "clients" } else { "summary" };
    columns()
        .map(|name| Definition {
            name,
            table: table(name),
        })
        .collect()
}

/// All of them.
#[cfg(test)]
pub(crate) fn all() -> Vec<Definition> {
    [summary(), clients(), statuses(), outcomes(), flags()].concat()
}

/// Columns that got another meaning under their old name: which, what it was in schema 1, and what it is in schema 2.
#[cfg(test)]
pub(crate) const CHANGED: [(&[&str], &str, &str); 2] = [
    (
        &["throughput_per_client_bytes_per_s"],
        "The mean of the clients' own rates, which a client that was served at once raises above what the row's time allows.",
        "Verified bytes over the clients' summed time: multiplied with `time_per_client_s` it is the volume.",
    ),
    (
        &[
            "first_byte_median_s",
            "wait_median_s",
            "transfer_median_s",
            "first_byte_s",
        ],
        "Of an upload, the first byte of the answer: as good as the end of the whole.",
        "Empty of an upload.",
    ),
];

/// Columns whose figures are measured in another way, and computed as they were: the same of both.
#[cfg(test)]
const MEASURED: [(&[&str], &str, &str); 3] = [
    (
        &["server_cpu_s"],
        "Of the workers, over their whole lives: their start and their end included.",
        "Of all its processes, between the edges of the window.",
    ),
    (
        &["client_cpu_s", "client_peak_rss_bytes"],
        "Of thread clients, the whole harness's.",
        "The clients' alone, which are never in the harness.",
    ),
    (
        &["connect_median_s", "latency_p50_s", "latency_p99_s"],
        "From the release, or the end of the operation before: with it, waiting for a processor.",
        "From the operation's own start.",
    ),
];

#[cfg(test)]
fn changes() -> String {
    let mut out = String::from(
        "\n## What changed meaning under its old name\n\n\
         The column `schema` tells. A journal of schema 1 is read and reported, with the columns of schema 2 where these are \
         computed from its records; `stress verify` holds it to itself, and leaves its tables alone. No program appends to a \
         journal of another schema than its own.\n\n\
         | column | schema 1 | schema 2 |\n|---|---|---|\n",
    );
    for (columns, before, now) in CHANGED.into_iter().chain(MEASURED) {
        let columns: Vec<String> = columns.iter().map(|name| format!("`{name}`")).collect();
        out.push_str(&format!("| {} | {before} | {now} |\n", columns.join(", ")));
    }
    out
}

/// `docs/COLUMNS.md`.
#[cfg(test)]
fn document() -> String {
    let mut out = String::from(
        "# The columns of a run's tables\n\n\
         Made from `crates/stress-report/texts/en.toml`, and held to the code's columns by a test. A value that \
         nobody measured is empty, never 0 and never a word. Numbers have a point and no groups of digits; times are in \
         seconds, sizes in bytes. [schemas/](schemas/README.md) has JSON Schemas of the journal, of `run.json`, and of these rows as \
         `--json` prints them.\n",
    );
    let tables = [
        ("`summary.csv`: one row a combination", summary()),
        ("`clients.csv`: one row an operation", clients()),
        ("Values of `status`", statuses()),
        ("Values of `outcome` and `top_outcome`", outcomes()),
        ("Words of `flags`", flags()),
    ];
    for (title, definitions) in tables {
        out.push_str(&format!("\n## {title}\n\n| name | meaning |\n|---|---|\n"));
        for definition in definitions {
            let meaning = definition.meaning(Lang::En);
            out.push_str(&format!("| `{}` | {meaning} |\n", definition.name));
        }
    }
    out.push_str(&changes());
    out.push_str(
        "\n## `table.csv` and `table.xlsx`\n\n\
         The assignment's nine columns and nothing else: number, operation, volume, client workers, server workers, \
         `time_per_client_s`, `throughput_per_client_bytes_per_s`, client workers that succeeded and failed, server \
         workers that succeeded and failed. Idle server workers count as successful there, as the assignment counts \
         them. With `--lang id` the headings are Indonesian, and `table.csv` has semicolons, decimal commas and a byte \
         order mark, as a spreadsheet set to Indonesian reads it.\n",
    );
    out
}

/// A row with these columns, as the commands that print JSON have it.
#[cfg(test)]
pub(crate) fn row_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    let property = |definition: &Definition| {
        let kind = if csv::is_text(definition.name) {
            "string"
        } else {
            "number"
        };
        let mut schema = serde_json::json!({
            "description": definition.meaning(Lang::En),
            "type": [kind, "null"],
        });
        if definition.name == "schema" {
            schema["const"] = stress_data::journal::SCHEMA.into();
        }
        (definition.name.to_owned(), schema)
    };
    let properties: serde_json::Map<_, _> = summary().iter().map(property).collect();
    schemars::json_schema!({
        "type": "object",
        "properties": properties,
        "required": csv::columns().collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schemas_are_what_the_types_say() {
        let mut generator = schemars::generate::SchemaSettings::draft2020_12().into_generator();
        let what =
            "stress --json and stress show --json: one line a row, with the columns of summary.csv";
        crate::schemas::keep_as("rows", what, row_schema(&mut generator));
    }

    #[test]
    fn nothing_is_left_untranslated() {
        for definition in all() {
            let [en, id] = Lang::ALL.map(|lang| definition.meaning(lang));
            assert!(
                !en.is_empty() && !id.is_empty() && en != id,
                "{definition:?}"
            );
        }
    }

    /// `UPDATE_DOCS=1 cargo test -p stress-report definitions` writes the file anew.
    #[test]
    fn the_document_of_the_columns_says_what_the_code_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/COLUMNS.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, document()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            written,
            document(),
            "UPDATE_DOCS=1 cargo test -p stress-report definitions"
        );
    }
}
