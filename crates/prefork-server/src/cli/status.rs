//! `prefork-server status FILE`: asks a running server over its admin socket, and shows what it says.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use cli_kit::value::any_duration;
use proto::status::Status;
use screen::Screen;

use crate::exit::Exit;
use crate::operator::status::{self, Order, Page};
use crate::operator::stream::say;
use crate::words;

/// How often `--watch` asks by itself.
const INTERVAL: &str = "1s";

/// A shorter interval shows nothing more, and costs the server more.
const INTERVAL_MIN: Duration = Duration::from_millis(100);

/// What is shown, and how.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The admin socket: what the server was started with as --admin.
    #[arg(value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    pub socket: PathBuf,

    /// For programs: the whole status as JSON, one line each time.
    #[arg(long)]
    pub json: bool,

    /// Ask again and again, until Ctrl-C: --watch or --watch=5s. In place on a terminal, else one after the other.
    #[arg(
        long,
        value_name = "INTERVAL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = INTERVAL,
        value_parser = any_duration
    )]
    pub watch: Option<Duration>,
}

#[must_use]
pub(super) fn run(args: &Args) -> ExitCode {
    match show(args) {
        Ok(()) => Exit::Done.into(),
        // The reader has seen enough, as `head` has.
        Err(error) if is_broken_pipe(&error) => Exit::Done.into(),
        Err(error) => {
            say(format_args!("error: {}", words::chain(&error)));
            Exit::Error.into()
        }
    }
}

fn show(args: &Args) -> Result<()> {
    cli_kit::output::check().context("cannot write to standard output")?;
    let order = match args.watch {
        None => Order::Slots,
        Some(_) => Order::BusyFirst,
    };
    loop {
        let body = status::ask(&args.socket)?;
        // Asked each time: terminals change their size.
        let screen = Screen::stdout();
        let text = if args.json {
            String::from_utf8(body).context("the server's answer is no text")?
        } else {
            let status: Status = serde_json::from_slice(&body).context(
                "the server's answer is none that this version understands; --json shows it as it is",
            )?;
            let page = Page::new(&status, order, screen);
            match (args.watch, screen.rows()) {
                (Some(_), Some(rows)) => in_place(&page, rows),
                _ => page.text(),
            }
        };
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        drop(out);
        let Some(interval) = args.watch else {
            return Ok(());
        };
        std::thread::sleep(interval.max(INTERVAL_MIN));
    }
}

/// Over what was there before: from the top, each line to its end, then the rest of the screen.
fn in_place(page: &Page, rows: usize) -> String {
    let mut frame = String::from("\x1b[H");
    // The last row is the cursor's.
    for line in page.within(rows.saturating_sub(1)) {
        frame.push_str(&line);
        frame.push_str("\x1b[K\n");
    }
    frame.push_str("\x1b[J");
    frame
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}
