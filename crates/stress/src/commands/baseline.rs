//! `stress baseline`: the machine's ceilings.

use std::path::PathBuf;

use anyhow::Result;
use cli_kit::output;
use screen::{Column, Screen, Table, counted};
use stress_data::machine::Ceilings;
use stress_data::size::rate_text;

use super::exit::Exit;
use crate::corpus::workdir::MadeFolders;
use crate::host::{ceilings, environment};

#[derive(Debug, Clone, clap::Args)]
pub(super) struct BaselineArgs {
    /// Where a file of 256 MiB is written and read; it is removed.
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath, default_value = "results")]
    work_dir: PathBuf,

    /// Print JSON, as run.json has it.
    #[arg(long)]
    json: bool,
}

/// Measures and prints. Must be called on the main thread.
///
/// # Errors
/// What cannot be done.
pub(super) fn run(args: &BaselineArgs) -> Result<Exit> {
    let folder = &args.work_dir;
    let _made = MadeFolders::folder(folder).map_err(|error| ceilings::unusable(folder, &error))?;
    let measured = ceilings::measure(folder)?;
    if args.json {
        output::print(&format!("{}\n", serde_json::to_string(&measured)?))?;
    } else {
        let table = table(&measured, &environment::file_system(folder)?);
        output::print(&table.render(Screen::stdout()))?;
    }
    Ok(Exit::Verified)
}

fn table(ceilings: &Ceilings, file_system: &str) -> Table {
    let mut table = Table::new([
        Column::text(""),
        Column::number("MB/s wire"),
        Column::number("MB/s content"),
    ]);
    for loopback in &ceilings.loopback {
        let wire = loopback.wire_bytes_per_s;
        let what = format!(
            "loopback, {}",
            counted(loopback.connections.into(), "connection")
        );
        table.row([what, rate_text(wire), rate_text(wire / 4 * 3)]);
    }
    for (what, bytes_per_s) in [
        ("write", ceilings.cache_write_bytes_per_s),
        ("read", ceilings.cache_read_bytes_per_s),
    ] {
        let what = format!("page cache, {what} ({file_system})");
        table.row([what, String::new(), rate_text(bytes_per_s)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use stress_data::machine::Loopback;

    use super::*;

    #[test]
    fn ceilings_are_shown_on_the_wire_and_as_content() {
        let ceilings = Ceilings {
            loopback: vec![Loopback {
                connections: 5,
                wire_bytes_per_s: 8_000_000_000,
            }],
            cache_write_bytes_per_s: 2_500_000_000,
            cache_read_bytes_per_s: 9_000_000_000,
        };
        let want = [
            "                          MB/s wire  MB/s content",
            "loopback, 5 connections       8,000         6,000",
            "page cache, write (ext4)                    2,500",
            "page cache, read (ext4)                     9,000",
        ];
        let got = table(&ceilings, "ext4").render(Screen::FILE);
        assert_eq!(got.lines().collect::<Vec<_>>(), want);
    }
}
