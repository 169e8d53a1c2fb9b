//! `--dry-run`: the plan, without measuring any of it.

use std::fmt::Write;

use anyhow::Result;
use cli_kit::output;
use screen::{Column, Screen, Table};
use stress_data::matrix::Cell;
use stress_data::measurement::ServerChoice;
use stress_data::size;

use crate::run::request::Request;
use crate::run::work::content_bytes;

/// The rows on standard output, what they come to on standard error.
pub(super) fn print(request: &Request, is_json: bool) -> Result<()> {
    output::print(&listing(request, is_json, Screen::stdout())?)?;
    let cells = &request.plan.cells;
    let bytes: u64 = cells
        .iter()
        .map(|cell| content_bytes(cell, &request.settings))
        .sum();
    output::say(format_args!(
        "{} of {}, {} each, about {} of content to move",
        size::counted(cells.len() as u64, "row"),
        request.plan.full_len,
        size::counted(request.repeats.into(), "sample"),
        size::approximate(bytes.saturating_mul(request.repeats.into())),
    ));
    Ok(())
}

fn listing(request: &Request, is_json: bool, screen: Screen) -> Result<String> {
    // Of somebody else's server nobody knows what its workers are.
    let is_own = |cell: &Cell| request.settings.of(cell).server == ServerChoice::Own;
    let cells = &request.plan.cells;
    if !is_json {
        return Ok(table(cells, is_own).render(screen));
    }
    let mut out = String::new();
    for planned in cells {
        let mut cell = serde_json::to_value(planned)?;
        if !is_own(planned) {
            cell["server_pool"] = serde_json::Value::Null;
        }
        writeln!(out, "{cell}")?;
    }
    Ok(out)
}

/// Buffers, caches, faults and subjects only where there are any.
fn table(cells: &[Cell], is_own: impl Fn(&Cell) -> bool) -> Table {
    let (number, text) = (Column::number, Column::text);
    let columns = [
        number("no"),
        text("operation"),
        number("volume"),
        number("bytes").spare(1),
        number("clients"),
        number("servers"),
        text("client pool").short("client", "pool"),
        text("server pool").short("server", "pool"),
        number("client buffer").short("client", "buffer"),
        number("server buffer").short("server", "buffer"),
        number("encoded cache").short("encoded", "cache"),
        text("fault"),
        text("subject"),
    ];
    let is_used = [
        cells.iter().any(|cell| cell.client_buffer.is_some()),
        cells.iter().any(|cell| cell.server_buffer.is_some()),
        cells.iter().any(|cell| cell.encoded_cache.is_some()),
        cells.iter().any(|cell| !cell.fault.is_none()),
        cells.iter().any(|cell| cell.subject.is_some()),
    ];
    let always = columns.len() - is_used.len();
    let is_shown: Vec<bool> = std::iter::repeat_n(true, always).chain(is_used).collect();
    let buffer = |bytes: Option<u64>| bytes.map_or_else(|| "-".into(), size::format);
    let mut table = Table::new(columns.into_iter().zip(&is_shown).filter_map(kept));
    for cell in cells {
        let pool = match is_own(cell) {
            true => cell.server_pool.as_str(),
            false => "foreign",
        };
        let row = [
            cell.number.to_string(),
            cell.operation.as_str().to_owned(),
            size::format(cell.volume),
            cell.volume.to_string(),
            cell.clients.to_string(),
            cell.servers.to_string(),
            cell.client_pool.as_str().to_owned(),
            pool.to_owned(),
            buffer(cell.client_buffer),
            buffer(cell.server_buffer),
            buffer(cell.encoded_cache),
            cell.fault.to_string(),
            cell.subject.clone().unwrap_or_default(),
        ];
        table.row(row.into_iter().zip(&is_shown).filter_map(kept));
    }
    table
}

fn kept<T>((item, is_shown): (T, &bool)) -> Option<T> {
    is_shown.then_some(item)
}

#[cfg(test)]
mod tests {
    use stress_data::matrix::{Plan, Selection};

    use super::*;
    use crate::{schemas, testing};

    #[test]
    fn the_schemas_are_what_the_types_say() {
        let mut schema = schemas::of::<Cell>();
        let pool = schema.pointer_mut("/properties/server_pool").expect("one");
        let described = serde_json::json!({
            "description": "What the server's workers are; null for a foreign server.",
            "anyOf": [{"$ref": pool["$ref"].take()}, {"type": "null"}],
        });
        *pool = described;
        schemas::keep_as("plan", "stress --dry-run --json: one line a row", schema);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut cells = Plan::new(&Selection::default()).cells;
        testing::check_fits(|screen| table(&cells, |_| true).render(screen));
        for cell in &mut cells {
            (cell.number, cell.clients, cell.servers) = (u32::MAX, u32::MAX, u32::MAX);
            cell.volume = (1 << 40) - 1;
            (cell.client_buffer, cell.server_buffer) = (Some((1 << 30) - 1), Some((1 << 30) - 1));
            cell.encoded_cache = Some((1 << 40) - 1);
            cell.subject = Some("a-name-of-24-letters-xxx".into());
            cell.fault = "slow-client:1048575K:1000".parse().expect("a fault");
        }
        testing::check_fits(|screen| table(&cells, |_| false).render(screen));
    }
}
