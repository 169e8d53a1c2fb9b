//! `--dry-run`: the plan, without measuring any of it.

use std::fmt::Write;

use anyhow::Result;

use crate::cli::request::Request;
use crate::console;
use crate::measurement::ServerChoice;
use crate::preflight::content_bytes;
use crate::size;

/// The cells on standard output, what they come to on standard error.
pub(super) fn print(request: &Request) -> Result<()> {
    console::print(&listing(request)?)?;
    let cells = &request.plan.cells;
    let bytes: u64 = cells
        .iter()
        .map(|cell| content_bytes(cell, &request.settings))
        .sum();
    console::say(format_args!(
        "{} of {}, {} each, about {} of content to move",
        size::counted(cells.len() as u64, "cell"),
        request.plan.full_len,
        size::counted(request.repeats.into(), "sample"),
        size::approximate(bytes.saturating_mul(request.repeats.into())),
    ));
    Ok(())
}

fn listing(request: &Request) -> Result<String> {
    let mut out = String::new();
    // Of somebody else's server nobody knows what its workers are.
    let is_own = request.settings.server == ServerChoice::Own;
    if request.json {
        for cell in &request.plan.cells {
            let mut cell = serde_json::to_value(cell)?;
            if !is_own {
                cell["server_pool"] = serde_json::Value::Null;
            }
            writeln!(out, "{cell}")?;
        }
        return Ok(out);
    }
    out += "  no  operation  volume        bytes  clients  servers  client pool  server pool\n";
    for cell in &request.plan.cells {
        let mut more = String::new();
        for (name, buffer) in [
            ("client buffer", cell.client_buffer),
            ("server buffer", cell.server_buffer),
        ] {
            if let Some(bytes) = buffer {
                more += &format!("  {name} {}", size::format(bytes));
            }
        }
        if !cell.fault.is_none() {
            more += &format!("  fault {}", cell.fault);
        }
        writeln!(
            out,
            "{:>4}  {:<9}{:>8}{:>13}{:>9}{:>9}  {:<13}{}{more}",
            cell.number,
            cell.operation.as_str(),
            size::format(cell.volume),
            cell.volume,
            cell.clients,
            cell.servers,
            cell.client_pool.as_str(),
            if is_own {
                cell.server_pool.as_str()
            } else {
                "foreign"
            },
        )?;
    }
    Ok(out)
}
