//! Every format, from made-up journals and from the kept run of all 81 rows, as it was when somebody looked at it.
//! `INSTA_UPDATE=always cargo test -p stress-report` accepts what is written now.

mod kept;
pub(crate) mod made_up;

use std::fs;
use std::io::Cursor;

use calamine::{Data, Reader, Xlsx};
use stress_data::journal::Contents;
use stress_data::matrix::{Operation, Selection};
use stress_data::summary;
use stress_data::testing;

use super::document::Document;
use super::*;
use crate::lang::Lang;
use crate::submission::Given;

fn run_of(contents: Contents) -> Run {
    Run::new("20261124T040000Z-run".into(), contents)
}

fn document_of(runs: &[Run], lang: Lang) -> Document {
    content::document(runs, &Submission::default(), lang)
}

/// The page without its style, which is a file of its own.
fn page(document: &Document) -> String {
    let page = html::render(document);
    let (start, rest) = page.split_once("<style>").unwrap();
    let (_, end) = rest.split_once("</style>").unwrap();
    // One element a line: a difference can be found.
    format!("{start}{end}").replace("><", ">\n<")
}

fn csv_of(contents: Contents, lang: Lang) -> String {
    let mut out = Vec::new();
    nine::write_csv(&run_of(contents).rows, lang, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

/// Every cell of every sheet, with its type, as a reader of workbooks finds it.
fn cells(workbook: Vec<u8>) -> String {
    let mut workbook: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(workbook)).unwrap();
    let mut out = String::new();
    for (name, range) in workbook.worksheets() {
        out.push_str(&format!("[{name}]\n"));
        for row in range.rows() {
            let cell = |data: &Data| match data {
                Data::Empty => "-".to_owned(),
                Data::String(text) => format!("{text:?}"),
                Data::Float(number) => number.to_string(),
                other => format!("{other:?}"),
            };
            let cells: Vec<String> = row.iter().map(cell).collect();
            out.push_str(&format!("{}\n", cells.join(" | ")));
        }
    }
    out
}

fn workbook_of(contents: Contents, lang: Lang) -> Vec<u8> {
    let runs = [run_of(contents)];
    nine::workbook(&variants::of(&runs, lang), lang).unwrap()
}

#[test]
fn a_troubled_run_as_a_page_and_as_text_in_both_languages() {
    let runs = [run_of(made_up::troubled())];
    for lang in [Lang::En, Lang::Id] {
        let document = document_of(&runs, lang);
        let code = lang.as_str();
        insta::assert_snapshot!(format!("troubled_{code}.html"), page(&document));
        insta::assert_snapshot!(format!("troubled_{code}.md"), markdown::render(&document));
    }
}

#[test]
fn models_and_runs_stand_side_by_side() {
    let mut foreign = run_of(made_up::foreign());
    foreign.name = "20261124T050000Z-python".into();
    let runs = [run_of(made_up::models()), foreign];
    insta::assert_snapshot!("models_en.html", page(&document_of(&runs[..1], Lang::En)));
    let document = document_of(&runs, Lang::En);
    insta::assert_snapshot!("runs_en.md", markdown::render(&document));
    insta::assert_snapshot!(
        "runs_id.md",
        markdown::render(&document_of(&runs, Lang::Id))
    );
}

#[test]
fn subjects_of_one_run_have_their_ratios_round_by_round() {
    let runs = [run_of(made_up::subjects())];
    for lang in [Lang::En, Lang::Id] {
        let document = document_of(&runs, lang);
        let code = lang.as_str();
        insta::assert_snapshot!(format!("subjects_{code}.md"), markdown::render(&document));
        insta::assert_snapshot!(
            format!("subjects_{code}.csv"),
            csv_of(made_up::subjects(), lang)
        );
    }
    let sheets = cells(workbook_of(made_up::subjects(), Lang::En));
    assert!(
        sheets.contains("[ours]") && sheets.contains("[python]"),
        "{sheets}"
    );
    testing::check_fits(|screen| {
        table::render(&runs[0].contents, &runs[0].rows, screen) + &subjects::text(&runs[0], screen)
    });
    let shown = table::render(&runs[0].contents, &runs[0].rows, screen::Screen::FILE);
    insta::assert_snapshot!(
        "subjects_table",
        shown + &subjects::text(&runs[0], screen::Screen::FILE)
    );
    let comparison = &subjects::comparisons(&runs[0])[0];
    insta::assert_snapshot!(
        "subjects_compared",
        compare::table(comparison, screen::Screen::FILE)
    );
}

#[test]
fn a_timeline_shows_five_workers_take_five_clients_and_the_sixth_wait() {
    let runs = [run_of(made_up::queued(Operation::Download))];
    for lang in [Lang::En, Lang::Id] {
        let document = document_of(&runs, lang);
        let sections = document.sections.into_iter();
        let sections = sections.filter(|section| section.id == "timeline");
        let document = Document {
            sections: sections.collect(),
            ..document_of(&runs, lang)
        };
        let code = lang.as_str();
        insta::assert_snapshot!(format!("timeline_{code}.html"), page(&document));
        insta::assert_snapshot!(format!("timeline_{code}.md"), markdown::render(&document));
    }
}

#[test]
fn faults_stand_apart_from_what_the_pools_do() {
    let runs = [run_of(made_up::disturbed())];
    let document = document_of(&runs, Lang::En);
    insta::assert_snapshot!("disturbed_en.md", markdown::render(&document));
    insta::assert_snapshot!(
        "disturbed_id.md",
        markdown::render(&document_of(&runs, Lang::Id))
    );
    let charts = document
        .sections
        .iter()
        .find(|section| section.id == "charts");
    let titles = charts
        .iter()
        .flat_map(|section| &section.blocks)
        .map(|block| match block {
            document::Block::Plate(plate) => plate.title.as_str(),
            _ => "",
        });
    assert_eq!(
        titles.collect::<Vec<_>>(),
        [
            "Download: throughput per client",
            "Download: time per client",
            "Download: share of this machine's ceiling",
            "Download: where an operation's time goes",
        ]
    );
}

#[test]
fn the_kept_run_of_all_81_rows_as_text_and_as_spreadsheets() {
    let run = Run::new(kept::NAME.into(), kept::contents());
    let csv_of = |lang| {
        let mut out = Vec::new();
        nine::write_csv(&run.rows, lang, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    };
    let runs = std::slice::from_ref(&run);
    let document = document_of(runs, Lang::En);
    insta::assert_snapshot!("kept_en.md", markdown::render(&document));
    insta::assert_snapshot!("kept_en.csv", csv_of(Lang::En));
    insta::assert_snapshot!("kept_id.csv", csv_of(Lang::Id));
    let workbook = nine::workbook(&variants::of(runs, Lang::Id), Lang::Id).unwrap();
    insta::assert_snapshot!("kept_id.xlsx", cells(workbook));
    let page = html::render(&document);
    assert_eq!(page.matches("<tr><td class=\"n\">").count(), 81);
}

#[test]
fn tables_of_a_troubled_run_leave_empty_what_nobody_measured() {
    insta::assert_snapshot!("troubled_en.csv", csv_of(made_up::troubled(), Lang::En));
    insta::assert_snapshot!("troubled_id.csv", csv_of(made_up::troubled(), Lang::Id));
    insta::assert_snapshot!(
        "troubled_en.xlsx",
        cells(workbook_of(made_up::troubled(), Lang::En))
    );
    let rows = run_of(made_up::troubled()).rows;
    let mut table = Vec::new();
    summary::csv::write(&rows, &mut table).unwrap();
    insta::assert_snapshot!("troubled.summary.csv", String::from_utf8(table).unwrap());
    let lines: Vec<String> = rows.iter().map(summary::csv::to_json).collect();
    insta::assert_snapshot!("troubled.ndjson", lines.join("\n"));
}

#[test]
fn an_indonesian_table_begins_with_the_mark_that_spreadsheets_look_for() {
    let table = csv_of(made_up::troubled(), Lang::Id);
    assert!(
        table.starts_with("\u{feff}Nomor;Operasi;Volume;"),
        "{table}"
    );
    assert!(csv_of(made_up::troubled(), Lang::En).starts_with("No,Operation,Volume,"));
    for line in table.lines() {
        assert_eq!(line.matches(';').count(), 8, "{line}");
    }
}

#[test]
fn several_models_have_a_sheet_each() {
    let sheets = cells(workbook_of(made_up::models(), Lang::En));
    let names: Vec<&str> = sheets
        .lines()
        .filter(|line| line.starts_with('['))
        .collect();
    assert_eq!(
        names,
        [
            "[process server, thread clients]",
            "[thread server, thread clients]",
            "[process server, process clients]",
            "[thread server, process clients]",
        ]
    );
}

#[test]
fn the_same_journal_gives_the_same_bytes() {
    let write = || {
        let out = tempfile::tempdir().unwrap();
        let folder = out.path().join("20261124T040000Z-run");
        fs::create_dir(&folder).unwrap();
        write_beside(&folder, &run_of(made_up::troubled())).unwrap();
        let names = ["report.html", "report.md", "table.csv", "table.xlsx"];
        names.map(|name| fs::read(folder.join(name)).unwrap())
    };
    assert!(write() == write());
}

#[test]
fn a_run_without_any_sample_can_be_reported_on() {
    for lang in [Lang::En, Lang::Id] {
        let runs = [run_of(testing::contents(&Selection::default(), 5))];
        let document = document_of(&runs, lang);
        assert!(html::render(&document).contains("0 / 81"));
        assert!(
            !document
                .sections
                .iter()
                .any(|section| section.id == "charts")
        );
        assert_eq!(
            cells(nine::workbook(&variants::of(&runs, lang), lang).unwrap())
                .lines()
                .count(),
            83
        );
    }
}

#[test]
fn a_page_loads_nothing_and_lets_nothing_out_of_its_place() {
    let mut contents = made_up::troubled();
    let evil = "\"><script src=//x></script><img src=x onerror=y>";
    contents.header.label = evil.into();
    contents.header.fingerprint.machine.cpu_model = evil.into();
    contents.sessions[0].command_line.push(evil.into());
    contents.header.fingerprint.settings.server = stress_data::testing::foreign(evil);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.md");
    fs::write(
        &path,
        format!("{evil}\n\n[a]({evil})\n\n![b](https://example.org/b.png)\n"),
    )
    .unwrap();
    let submission = Submission::default()
        .changed_by(&Given {
            authors: vec![evil.into()],
            notes: Some(path),
            ..Given::default()
        })
        .unwrap();
    let mut other = run_of(made_up::troubled());
    other.name = evil.into();
    let runs = [run_of(contents), other];
    for lang in [Lang::En, Lang::Id] {
        let page = html::render(&content::document(&runs, &submission, lang));
        assert!(page.contains("&lt;script src=//x&gt;"));
        for forbidden in [
            "<script", "<img", " src=\"", "url(", "@import", "<link", "<iframe",
        ] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }
}

#[test]
fn the_table_that_is_handed_in_is_right_in_either_language_or_its_line_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("table.csv");
    let rows = summary::rows(&made_up::troubled());
    let findings = || -> Vec<String> {
        let found = submitted::check(folder.path(), &rows);
        found.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        findings(),
        Vec::<String>::new(),
        "it is no part of every run"
    );
    for lang in [Lang::En, Lang::Id] {
        let table = csv_of(made_up::troubled(), lang);
        fs::write(&path, &table).unwrap();
        assert_eq!(findings(), Vec::<String>::new());
        let better = table.replacen("001280", "001180", 1);
        fs::write(&path, better).unwrap();
        let found = findings();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("table.csv, line 2: 1"), "{found:?}");
        for edited in [table.replace("\r\n", "\n"), table.trim_end().to_owned()] {
            fs::write(&path, edited).unwrap();
            let found = findings();
            assert_eq!(found.len(), 1, "{found:?}");
            assert!(
                found[0].starts_with("table.csv: its line ends"),
                "{found:?}"
            );
        }
    }
    fs::write(&path, "No,Time\n1,2\n").unwrap();
    assert_eq!(
        findings(),
        ["table.csv, line 1: its first line is that of none of the languages"]
    );
}
