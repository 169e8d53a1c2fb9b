//! The assignment's table: exactly its nine columns, in English or Indonesian, for pages and spreadsheets.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use rust_xlsxwriter::{
    DocProperties, ExcelDateTime, Format, FormatAlign, FormatBorder, Workbook, Worksheet,
};
use stress_data::matrix::Operation;
use stress_data::size;
use stress_data::summary::csv::format_seconds;
use stress_data::summary::{ClientCounts, Row};

use super::lang::Lang;
use super::texts::say;
use super::variants::Variant;

/// The columns' headings.
pub(crate) fn headings(lang: Lang) -> [&'static str; 9] {
    [
        "nine.number",
        "nine.operation",
        "nine.volume",
        "nine.client_pool",
        "nine.server_pool",
        "nine.time",
        "nine.throughput",
        "nine.client_workers",
        "nine.server_workers",
    ]
    .map(|key| lang.text(key))
}

/// Server workers that succeeded (idle ones among them, as the assignment counts) and that failed.
pub(crate) fn server_workers(row: &Row) -> Option<ClientCounts> {
    let workers = row.server_workers?;
    Some(ClientCounts {
        ok: workers.ok + workers.idle,
        failed: workers.failed,
    })
}

/// In words: a bare `5/1` would become the fifth of January in a spreadsheet.
fn in_words(counts: Option<ClientCounts>, lang: Lang) -> Option<String> {
    let ClientCounts { ok, failed } = counts?;
    Some(say!(lang, "nine.in_words", ok, failed))
}

/// The operation's name; the same in both languages.
pub(crate) const fn operation(operation: Operation) -> &'static str {
    match operation {
        Operation::Download => "Download",
        Operation::Upload => "Upload",
        Operation::List => "List",
    }
}

/// Writes the table, and whose each row is where there are several subjects, for a spreadsheet of the language: with commas and points in English, with semicolons and
/// decimal commas, and a byte order mark that says UTF-8, in Indonesian.
///
/// # Errors
/// What writing said.
pub(crate) fn write_csv(rows: &[Row], lang: Lang, mut out: impl Write) -> Result<()> {
    if lang == Lang::Id {
        out.write_all("\u{feff}".as_bytes())?;
    }
    let mut writer = csv::WriterBuilder::new()
        .delimiter(match lang {
            Lang::En => b',',
            Lang::Id => b';',
        })
        .terminator(csv::Terminator::CRLF)
        .from_writer(out);
    let has_subjects = rows.iter().any(|row| row.cell.subject.is_some());
    let heading = has_subjects.then(|| lang.text("nine.subject"));
    writer.write_record(headings(lang).into_iter().chain(heading))?;
    for row in rows {
        let cell = &row.cell;
        // No groups of digits: a spreadsheet makes them.
        let seconds = |time| format_seconds(time, 6).replace('.', lang.point());
        let rate = row.throughput_bytes_per_s.map(|rate| rate.to_string());
        let nine = [
            cell.number.to_string(),
            operation(cell.operation).into(),
            size::format(cell.volume),
            cell.clients.to_string(),
            cell.servers.to_string(),
            row.time().map(seconds).unwrap_or_default(),
            rate.unwrap_or_default(),
            in_words(row.clients, lang).unwrap_or_default(),
            in_words(server_workers(row), lang).unwrap_or_default(),
        ];
        writer.write_record(nine.iter().chain(&cell.subject))?;
    }
    Ok(writer.flush()?)
}

/// The table as a workbook: a sheet for each variant. Numbers are numbers, shown as the reader's own settings
/// write them.
///
/// # Errors
/// What the writer of workbooks said.
pub(crate) fn workbook(variants: &[Variant<'_>], lang: Lang) -> Result<Vec<u8>> {
    let mut workbook = Workbook::new();
    let created = variants
        .first()
        .map(|variant| variant.run.contents.header.created_utc.as_str());
    // The time of the run rather than of the writing: the same run gives the same file.
    let created = created.and_then(|utc| ExcelDateTime::parse_from_str(utc).ok());
    if let Some(created) = created {
        workbook.set_properties(&DocProperties::new().set_creation_datetime(&created));
    }
    let mut names = Vec::new();
    for variant in variants {
        let name = match variants {
            [_] => lang.text("nine.table").to_owned(),
            _ => sheet_name(&variant.label, &names),
        };
        let sheet = workbook.add_worksheet();
        sheet.set_name(&name)?;
        fill_sheet(sheet, variant, lang).with_context(|| format!("sheet {name}"))?;
        names.push(name);
    }
    Ok(workbook.save_to_buffer()?)
}

/// Excel takes 31 characters, none of `[]:*?/\`, no apostrophe at the ends, and no name twice in any case.
fn sheet_name(label: &str, taken: &[String]) -> String {
    let allowed = label
        .chars()
        .map(|c| if "[]:*?/\\'".contains(c) { '-' } else { c });
    let allowed: Vec<char> = allowed.collect();
    let name = |attempt: u32| {
        let ending = match attempt {
            1 => String::new(),
            _ => format!(" ({attempt})"),
        };
        let room = 31 - ending.chars().count();
        let start: String = allowed.iter().take(room).collect();
        format!("{}{ending}", start.trim())
    };
    let is_free = |name: &String| {
        let mut taken = taken.iter();
        !name.is_empty() && !taken.any(|taken| taken.to_lowercase() == name.to_lowercase())
    };
    (1..).map(name).find(is_free).unwrap_or_default()
}

fn fill_sheet(sheet: &mut Worksheet, variant: &Variant<'_>, lang: Lang) -> Result<()> {
    let head = Format::new()
        .set_bold()
        .set_text_wrap()
        .set_align(FormatAlign::Center)
        .set_align(FormatAlign::VerticalCenter)
        .set_border(FormatBorder::Thin)
        .set_background_color(0x00E8_EDF3);
    let cell = Format::new().set_border(FormatBorder::Thin);
    let words = cell.clone().set_indent(1);
    let whole = cell.clone().set_num_format("0");
    let seconds = cell.clone().set_num_format("0.000000");
    let rate = cell.clone().set_num_format("#,##0");

    let widths = [7, 11, 9, 13, 13, 15, 18, 26, 26];
    for (column, (heading, width)) in (0..).zip(headings(lang).iter().zip(widths)) {
        sheet.write_with_format(0, column, *heading, &head)?;
        sheet.set_column_width(column, width)?;
    }
    sheet.set_row_height(0, 48)?;
    for (line, row) in (1..).zip(&variant.rows) {
        let cell = &row.cell;
        let volume = size::format(cell.volume);
        sheet.write_with_format(line, 0, cell.number, &whole)?;
        sheet.write_with_format(line, 1, operation(cell.operation), &words)?;
        sheet.write_with_format(line, 2, volume, &words)?;
        sheet.write_with_format(line, 3, cell.clients, &whole)?;
        sheet.write_with_format(line, 4, cell.servers, &whole)?;
        // An empty cell for a value that nobody measured, never a zero.
        sheet.write_with_format(line, 5, row.time().map(to_seconds), &seconds)?;
        // Excel's numbers are exact up to 2^53, nine petabytes a second.
        let figure = row.throughput_bytes_per_s.map(|rate| rate as f64);
        sheet.write_with_format(line, 6, figure, &rate)?;
        sheet.write_with_format(line, 7, in_words(row.clients, lang), &words)?;
        sheet.write_with_format(line, 8, in_words(server_workers(row), lang), &words)?;
    }
    sheet.set_freeze_panes(1, 0)?;
    sheet.set_repeat_rows(0, 0)?;
    sheet.set_landscape();
    sheet.set_paper_size(9);
    sheet.set_print_fit_to_pages(1, 0);
    let last = u32::try_from(variant.rows.len()).unwrap_or(u32::MAX);
    sheet.autofilter(0, 0, last, 8)?;
    Ok(())
}

/// To the microsecond, as in every other table.
fn to_seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_can_have_its_name() {
        let check = |label: &str, taken: &[&str], want: &str| {
            let taken: Vec<String> = taken.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(sheet_name(label, &taken), want);
        };
        check("process server", &[], "process server");
        check("a/b: 'c'", &[], "a-b- -c-");
        check("X", &["x"], "X (2)");
        check(
            "process server, thread clients, client buffer",
            &[],
            "process server, thread clients,",
        );
        check(
            "process server, thread clients, server buffer",
            &["process server, thread clients,"],
            "process server, thread clie (2)",
        );
        check("", &[], " (2)");
    }
}
