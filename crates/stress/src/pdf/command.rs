//! The browser's command line, with names that it understands.

use std::ffi::OsString;
use std::path::Path;

use anyhow::{Context, Result};

use stress_report::PAGE;

use super::PDF;
use super::browser::{Browser, Kind};
use super::windows::wslpath;

/// How a page is printed and nothing else is done: no first start, no updates, nothing to the network.
const FLAGS: [&str; 12] = [
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    // In a container /dev/shm may be too small for a page.
    "--disable-dev-shm-usage",
    // The margins would have the file's path in them; the second is what versions before 112 call it.
    "--no-pdf-header-footer",
    "--print-to-pdf-no-header",
    "--generate-pdf-document-outline",
];

/// The words that start `browser` to print the page in `folder` to a PDF there.
pub(super) fn line(browser: &Browser, folder: &Path, has_sandbox: bool) -> Result<Vec<OsString>> {
    let name = |name: &str| {
        let path = folder.join(name);
        let path = path.to_str().context("a path that is not UTF-8")?;
        match browser.kind {
            Kind::Windows => wslpath("-w", path),
            Kind::Plain | Kind::Snap => Ok(path.to_owned()),
        }
    };
    let mut words: Vec<OsString> = vec![browser.path.clone().into()];
    words.extend(FLAGS.map(OsString::from));
    if !has_sandbox {
        words.push("--no-sandbox".into());
    }
    words.push(format!("--user-data-dir={}", name("profile")?).into());
    words.push(format!("--print-to-pdf={}", name(PDF)?).into());
    let mut page = name(PAGE)?;
    if browser.kind == Kind::Windows {
        page = page.replace('\\', "/");
    }
    words.push(file_url(&page).into());
    Ok(words)
}

/// The address of a file; of Windows' with slashes.
fn file_url(path: &str) -> String {
    let mut url = String::from("file://");
    if !path.starts_with('/') {
        url.push('/');
    }
    for byte in path.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' | b':' => {
                url.push(char::from(byte));
            }
            byte => url.push_str(&format!("%{byte:02X}")),
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_files_address_has_nothing_in_it_that_means_something() {
        let check = |path: &str, want: &str| assert_eq!(file_url(path), want);
        check(
            "/tmp/stress-pdf-x/report.html",
            "file:///tmp/stress-pdf-x/report.html",
        );
        check(
            "/tmp/a b#c?d%e/é.html",
            "file:///tmp/a%20b%23c%3Fd%25e/%C3%A9.html",
        );
        let windows = "C:/Users/Ani Wijaya/AppData/Local/Temp/x/report.html";
        let want = "file:///C:/Users/Ani%20Wijaya/AppData/Local/Temp/x/report.html";
        check(windows, want);
    }
}
