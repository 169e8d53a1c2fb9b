//! `report.pdf`: `report.html` as a browser of this machine prints it, in a place and with a profile of its own.

mod browser;
mod command;
mod windows;

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::host::child::NoLine;
use crate::host::clock::{Deadline, WaitEnded};
use crate::host::guard::{GuardedProgram, Report};
use crate::host::stops::set_by_interrupts;
use stress_data::Unusable;
use stress_report::PAGE;

use browser::Browser;

/// What the page is printed to.
pub(super) const PDF: &str = "report.pdf";

/// A page takes two seconds; a long one on a busy machine a minute.
const LIMIT: Duration = Duration::from_secs(120);
/// Of what a browser wrote, so many lines are shown.
const LINES_MAX: usize = 5;
/// What a browser writes about when the kernel does not let it make its sandbox, as in a container.
const SANDBOX: &str = "sandbox";
/// Every PDF ends with this, and some white space.
const END_MARK: &[u8] = b"%%EOF";

/// Prints `html`, which stands in the file `page` too, with the browser `named` or the first that is found; none if the user
/// wanted it to stop.
///
/// # Errors
/// [`Unusable`] says what to install or to change; else what the browser said.
pub(super) fn print(html: &str, page: &Path, named: Option<&Path>) -> Result<Option<Vec<u8>>> {
    let browser = match named {
        Some(path) => Browser::named(path).map_err(Unusable)?,
        None => Browser::find().ok_or_else(|| Unusable(without_browser(page)))?,
    };
    let interrupt = Arc::new(AtomicBool::new(false));
    // However many signals come: the browser and its profile have to go first, which takes no time.
    set_by_interrupts(&interrupt)?;
    let by_hand = || {
        let page = page.display();
        format!("report.pdf was not made; {page} can be printed from any browser by hand")
    };
    print_with(&browser, html, &interrupt).with_context(by_hand)
}

/// What to do without a browser, in one line.
fn without_browser(page: &Path) -> String {
    format!(
        "--pdf: there is no Chromium, Chrome or Edge here to print with: install one (such as: sudo apt install chromium), \
         name one with --browser PATH, or open {} in any browser and print it to a file",
        page.display()
    )
}

/// Without the browser's sandbox only where it cannot have one: root's browser has none, and a container's may not.
fn print_with(browser: &Browser, html: &str, interrupt: &AtomicBool) -> Result<Option<Vec<u8>>> {
    let mut has_sandbox = !nix::unistd::geteuid().is_root();
    loop {
        match attempt(browser, html, has_sandbox, interrupt)? {
            Ok(printed) => return Ok(printed),
            Err(Failed { words, .. }) if has_sandbox && words.to_lowercase().contains(SANDBOX) => {
                has_sandbox = false;
            }
            Err(failed) => return Err(failure(browser, &failed)),
        }
    }
}

/// Starts the browser once, in a new folder, which is gone afterwards.
fn attempt(
    browser: &Browser,
    html: &str,
    has_sandbox: bool,
    interrupt: &AtomicBool,
) -> Result<Result<Option<Vec<u8>>, Failed>> {
    let folder = browser.make_folder()?;
    let (page, pdf) = (folder.path().join(PAGE), folder.path().join(PDF));
    fs::write(&page, html).with_context(|| page.display().to_string())?;
    let words = command::line(browser, folder.path(), has_sandbox)?;
    let mut guarded = GuardedProgram::start(words, None, &folder.path().join("guard.log"))?;
    let mut how = match wait(&mut guarded, interrupt) {
        Ok(how) => how,
        Err(WaitEnded::Interrupted) => return Ok(Ok(None)),
        Err(WaitEnded::Late) => format!("did not end within {} s", LIMIT.as_secs()),
    };
    // What the browser has started has ended too before the folder is looked at, and removed.
    guarded.end();
    match fs::read(&pdf) {
        Ok(pdf) if is_whole(&pdf) => return Ok(Ok(Some(pdf))),
        Ok(_) => how.push_str(", and its PDF is not whole"),
        Err(error) if error.kind() == ErrorKind::NotFound => how.push_str(" without a PDF"),
        Err(error) => bail!("{}: {error}", pdf.display()),
    }
    let words = guarded.output();
    Ok(Err(Failed { how, words }))
}

/// Waits for the browser's end, and says how it ended.
fn wait(guarded: &mut GuardedProgram, interrupt: &AtomicBool) -> Result<String, WaitEnded> {
    let deadline = Deadline::after(LIMIT).or_once(interrupt);
    loop {
        return match guarded.report(&deadline) {
            Ok(Report::Started { .. }) => continue,
            Ok(Report::Failed { why }) => Ok(format!("cannot be started ({why})")),
            Ok(Report::Ended { how, .. }) => Ok(format!("ended ({how})")),
            Err(NoLine::Ended) => Ok(format!("lost its guard ({})", guarded.last_words())),
            Err(NoLine::WaitEnded(wait_ended)) => Err(wait_ended),
        };
    }
}

fn failure(browser: &Browser, Failed { how, words }: &Failed) -> anyhow::Error {
    let mut said = format!("{} {how}", browser.path.display());
    let lines: Vec<&str> = words.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES_MAX)..];
    if !last.is_empty() {
        said.push_str("; it wrote:\n  ");
        said.push_str(&last.join("\n  "));
    }
    said.push_str("\nAnother browser can be named with --browser PATH");
    anyhow!(said)
}

/// A start that gave no PDF.
struct Failed {
    how: String,
    /// What it wrote last.
    words: String,
}

/// Whether a PDF has its beginning and its end.
fn is_whole(pdf: &[u8]) -> bool {
    let end = &pdf[pdf.len().saturating_sub(1024)..];
    pdf.starts_with(b"%PDF-") && end.windows(END_MARK.len()).any(|piece| piece == END_MARK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pdf_without_its_beginning_or_its_end_is_none() {
        assert!(is_whole(b"%PDF-1.4\n1 0 obj\n%%EOF\n"));
        let long = [b"%PDF-1.4\n".as_slice(), &[b'x'; 4096], b"%%EOF"].concat();
        assert!(is_whole(&long));
        assert!(!is_whole(&long[..2048]));
        assert!(!is_whole(b"<html>%%EOF"));
        assert!(!is_whole(b""));
    }

    #[test]
    fn without_a_browser_one_line_says_what_to_install_and_how_to_print_by_hand() {
        let said = without_browser(Path::new("results/run/report.html"));
        for part in [
            "install",
            "chromium",
            "--browser PATH",
            "open results/run/report.html",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!said.contains('\n') && !said.contains("  "), "{said}");
    }
}
