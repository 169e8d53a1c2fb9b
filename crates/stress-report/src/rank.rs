//! `stress rank`: a class in the order of its ratios, on a terminal, as a page, and for a program.

use screen::{Column as ScreenColumn, Screen, Table as ScreenTable};
use serde::Serialize;
use stress_data::compare::evidence::Mean;
use stress_data::matrix::Operation;
use stress_data::rank::{Entry, HandIn, Standing};
use stress_data::run::Run;
use stress_data::verify::class::HandedIn;

use super::document::{Block, Cell, Column, Document, Group, Section, Table};
use super::html;
use super::lang::Lang;
use super::nine;

/// One line of it.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct EntryJson<'a> {
    /// The folder of the run.
    run: String,
    /// Who handed it in, by submission.toml.
    authors: &'a [String],
    /// Their numbers: none, or one for each.
    student_ids: &'a [String],
    /// The subject that is ranked; null where there is none.
    subject: Option<&'a str>,
    /// From 1, the fastest; null where it is not ranked.
    place: Option<usize>,
    /// Its time over the reference's, of all rows; null where it is not ranked.
    ratio: Option<f64>,
    /// The lower end of where that lies, at 95 %.
    ratio_low: Option<f64>,
    /// The upper end of it.
    ratio_high: Option<f64>,
    /// The same ratio of the rows of each operation.
    operations: Vec<OperationJson>,
    /// Rows that were planned of it.
    rows: Option<usize>,
    /// Those of them that are in the ratio.
    rows_compared: Option<usize>,
    /// Whether its run is verified, and nobody's copy.
    is_verified: bool,
    /// Why it is not ranked.
    why_not: Option<&'a str>,
}

/// The rows of one operation.
#[derive(Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct OperationJson {
    /// Which.
    operation: Operation,
    /// The time over the reference's.
    ratio: f64,
}

/// A line in words.
struct Line {
    who: String,
    ids: String,
    subject: String,
    run: String,
    /// None if it is not ranked.
    ranked: Option<Ranked>,
    why_not: String,
}

struct Ranked {
    place: String,
    ratio: String,
    interval: String,
    /// Of download, upload and list.
    operations: [String; 3],
    rows: String,
}

fn lines(hand_ins: &[HandIn], entries: &[Entry]) -> Vec<Line> {
    let line = |entry: &Entry| {
        let checked = &hand_ins[entry.hand_in].checked;
        let HandedIn {
            authors,
            student_ids,
            ..
        } = &checked.handed_in;
        let run = Run::name_of(&checked.run);
        Line {
            who: match authors.is_empty() {
                true => run.clone(),
                false => authors.join(", "),
            },
            ids: student_ids.join(", "),
            subject: entry.subject.clone(),
            run,
            ranked: ranked(&entry.standing),
            why_not: match &entry.standing {
                Standing::Ranked { .. } => String::new(),
                Standing::NotComparable(why) => format!("not comparable: {why}"),
                Standing::Unverified(why) => format!("not verified: {why}"),
            },
        }
    };
    entries.iter().map(line).collect()
}

fn ranked(standing: &Standing) -> Option<Ranked> {
    let Standing::Ranked {
        place,
        means,
        rows,
        left_out,
    } = standing
    else {
        return None;
    };
    let ratio = |mean: &Mean| Lang::En.ratio(mean.ratio);
    let first = means.first()?;
    let interval = first.interval.map(|it| {
        let [low, high] = [it.low, it.high].map(|end| Lang::En.ratio(end));
        format!("{low} … {high}")
    });
    let of = |operation| {
        let mut means = means.iter();
        let mean = means.find(|mean| mean.operation == Some(operation));
        mean.map(ratio).unwrap_or_default()
    };
    Some(Ranked {
        place: place.to_string(),
        ratio: ratio(first),
        interval: interval.unwrap_or_default(),
        operations: Operation::ALL.map(of),
        rows: format!("{} of {rows}", rows - left_out),
    })
}

/// For a person at a terminal.
#[must_use]
pub fn text(hand_ins: &[HandIn], entries: &[Entry], screen: Screen) -> String {
    let (number, word) = (ScreenColumn::number, ScreenColumn::text);
    let mut table = ScreenTable::new([
        number("place"),
        word("who"),
        word("id"),
        word("subject").spare(2),
        number("ratio"),
        word("interval"),
        number("rows"),
        word("run").spare(1),
    ]);
    let lines = lines(hand_ins, entries);
    for line in &lines {
        if let Some(it) = &line.ranked {
            table.row([
                &it.place,
                &line.who,
                &line.ids,
                &line.subject,
                &it.ratio,
                &it.interval,
                &it.rows,
                &line.run,
            ]);
        }
    }
    let mut out = match lines.iter().any(|line| line.ranked.is_some()) {
        true => table.render(screen),
        false => String::new(),
    };
    for line in lines.iter().filter(|line| line.ranked.is_none()) {
        let text = format!("{}: {}", line.who, line.why_not);
        out += &screen.wrapped(&text);
        out.push('\n');
    }
    out
}

const READING: &str = "The ratio is a client's time over that of the reference in the same rounds of the same run: 1 is as fast as the reference, 2 takes twice as long. It is the geometric mean of all rows that are ok on both sides; the interval is where it lies at 95 %. Ratios whose intervals overlap may have changed places by chance. Times of different machines are compared nowhere.";

/// A page that needs nothing else.
#[must_use]
pub fn page(hand_ins: &[HandIn], entries: &[Entry]) -> String {
    let lines = lines(hand_ins, entries);
    let plain = |texts: Vec<&String>| {
        let cells = texts.into_iter().map(Cell::plain);
        cells.collect::<Vec<_>>().into()
    };
    let rows = lines.iter().filter_map(|line| {
        let it = line.ranked.as_ref()?;
        let head = vec![&it.place, &line.who, &line.ids, &line.subject, &it.ratio];
        let tail = [&it.interval].into_iter().chain(&it.operations);
        let tail = tail.chain([&it.rows, &line.run]);
        Some(plain(head.into_iter().chain(tail).collect()))
    });
    let number = |title: &str| Column::number(title);
    let word = |title: &str| Column::word(title);
    let mut columns = vec![
        number("Place"),
        word("Who"),
        word("ID"),
        word("Subject"),
        number("Ratio"),
        number("Interval"),
    ];
    columns.extend(Operation::ALL.map(|it| number(nine::operation(it))));
    columns.extend([number("Rows"), word("Run")]);
    let ranked = Table {
        columns,
        groups: vec![Group {
            title: None,
            rows: rows.collect(),
        }],
    };
    let others = lines.iter().filter(|line| line.ranked.is_none());
    let others = others.map(|it| plain(vec![&it.who, &it.ids, &it.why_not, &it.run]));
    let others = Table {
        columns: vec![word("Who"), word("ID"), Column::prose("Why"), word("Run")],
        groups: vec![Group {
            title: None,
            rows: others.collect(),
        }],
    };
    let mut blocks = vec![Block::paragraph(READING)];
    let table = |it: Table| (!it.groups[0].rows.is_empty()).then_some(Block::Table(it));
    blocks.extend(table(ranked));
    let mut sections = vec![Section::new("ranked", "Ranked", blocks)];
    let others = table(others).map(|it| Section::new("others", "Not ranked", vec![it]));
    sections.extend(others);
    html::render(&Document {
        lang: Lang::En,
        title: "A class, ranked".into(),
        subtitle: format!("{} runs", hand_ins.len()),
        byline: Vec::new(),
        sections,
    })
}

/// For a program: one line for each subject.
#[must_use]
pub fn json_lines(hand_ins: &[HandIn], entries: &[Entry]) -> String {
    let line = |entry: &Entry| {
        let checked = &hand_ins[entry.hand_in].checked;
        let (place, means, rows, left_out, why_not) = match &entry.standing {
            Standing::Ranked {
                place,
                means,
                rows,
                left_out,
            } => (Some(*place), &means[..], Some(*rows), *left_out, None),
            Standing::NotComparable(why) | Standing::Unverified(why) => {
                (None, &[][..], None, 0, Some(why.as_str()))
            }
        };
        let interval = means.first().and_then(|mean| mean.interval);
        let operation = |mean: &Mean| {
            Some(OperationJson {
                operation: mean.operation?,
                ratio: mean.ratio,
            })
        };
        let json = EntryJson {
            run: checked.run.display().to_string(),
            authors: &checked.handed_in.authors,
            student_ids: &checked.handed_in.student_ids,
            subject: Some(entry.subject.as_str()).filter(|name| !name.is_empty()),
            place,
            ratio: means.first().map(|mean| mean.ratio),
            ratio_low: interval.map(|it| it.low),
            ratio_high: interval.map(|it| it.high),
            operations: means.iter().filter_map(operation).collect(),
            rows,
            rows_compared: rows.map(|rows| rows - left_out),
            is_verified: !matches!(entry.standing, Standing::Unverified(_)),
            why_not,
        };
        // Numbers and strings: that cannot fail.
        serde_json::to_string(&json).unwrap_or_default() + "\n"
    };
    entries.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_schemas_are_what_the_types_say() {
        let what = "stress rank --json: one line a subject";
        crate::schemas::keep::<super::EntryJson<'_>>("rank", what);
    }
}
