//! What stands below the flags of a help, in lines that fit the terminal: clap would break an item's explanation at the
//! first column.

use screen::Screen;

use super::text::{Item, blocks, indent, is_indented, items, joined};

/// As clap has it where there is no terminal, and at the most.
const COLUMNS_WITHOUT: usize = 100;

/// An explanation narrower than this goes below its item.
const EXPLANATION_COLUMNS_MIN: usize = 32;

/// `text` for standard output: as it is where it fits.
pub fn fitted(text: &str) -> String {
    within(text, Screen::stdout().columns().unwrap_or(COLUMNS_WITHOUT))
}

fn within(text: &str, columns: usize) -> String {
    let blocks = blocks(text).into_iter().map(|block| {
        let fits = block.iter().all(|line| screen::width(line) <= columns);
        match (fits, is_indented(block[0])) {
            (true, _) => block.join("\n"),
            (false, false) => wrapped(&block.join(" "), 0, columns),
            (false, true) => fitted_items(&block, columns),
        }
    });
    blocks.collect::<Vec<_>>().join("\n")
}

fn fitted_items(block: &[&str], columns: usize) -> String {
    let (base, items) = (indent(block[0]), items(block));
    if items.iter().all(|item| item.explanation.is_empty()) {
        return wrapped(&joined(block), base, columns);
    }
    let widest = items.iter().map(|item| screen::width(item.lines[0])).max();
    let column = base + widest.unwrap_or(0) + 2;
    let is_beside = column + EXPLANATION_COLUMNS_MIN <= columns;
    let shown = items
        .iter()
        .map(|item| match is_beside && item.lines.len() == 1 {
            true => beside(item, base, column, columns),
            false => below(item, base, columns),
        });
    shown.collect::<Vec<_>>().join("\n")
}

fn beside(item: &Item<'_>, base: usize, column: usize, columns: usize) -> String {
    let explanation = wrapped(&item.explanation, column, columns);
    let start = format!("{}{}", " ".repeat(base), item.lines[0]);
    let blank = " ".repeat(column.saturating_sub(screen::width(&start)));
    let line = format!("{start}{blank}{}", explanation.trim_start());
    line.trim_end().to_owned()
}

fn below(item: &Item<'_>, base: usize, columns: usize) -> String {
    let hanging =
        |(at, line): (usize, &&str)| wrapped(line, base + if at > 0 { 4 } else { 0 }, columns);
    let mut lines: Vec<String> = item.lines.iter().enumerate().map(hanging).collect();
    if !item.explanation.is_empty() {
        lines.push(wrapped(&item.explanation, base + 6, columns));
    }
    lines.join("\n")
}

/// `text` in lines that all begin at the same column.
fn wrapped(text: &str, indent: usize, columns: usize) -> String {
    let text = Screen::of_columns(columns.saturating_sub(indent)).prose(text);
    let blank = " ".repeat(indent);
    let lines: Vec<String> = text.lines().map(|line| format!("{blank}{line}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
Exit codes:
  0    well
  3    not well, but there is more to say of it than one line can hold

A paragraph that is longer than the
terminal is wide.

Examples:
  program --flag with-a-value-that-is-long    does this, and that, and more of it
  program --other \\
          --longer                            the same";

    #[test]
    fn what_fits_stays_as_it_is() {
        assert_eq!(within(TEXT, 100), TEXT);
    }

    #[test]
    fn an_explanation_goes_on_in_its_column_or_below_its_item() {
        let want = "\
Exit codes:
  0  well
  3  not well, but there is more to say of
     it than one line can hold

A paragraph that is longer than the
terminal is wide.

Examples:
  program --flag with-a-value-that-is-long
        does this, and that, and more of it
  program --other \\
      --longer
        the same";
        assert_eq!(within(TEXT, 44), want);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        for columns in 30..100 {
            for line in within(TEXT, columns).lines() {
                assert!(screen::width(line) <= columns, "{columns}: {line}");
            }
        }
    }
}
