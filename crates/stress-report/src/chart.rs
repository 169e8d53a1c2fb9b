//! Charts: which figures of the data are drawn, and beside which others.

mod axis;
mod bars;
mod lines;
mod panel;
pub(super) mod timeline;

use std::collections::BTreeSet;

use stress_data::matrix::Operation;
use stress_data::size;

use super::document::{Plate, Text};
use super::lang::Lang;
use super::nine;
use super::parts::Parts;
use super::svg::{Colour, Svg, Type};
use super::texts::{count, say};
use super::variants::{Place, Variant};

use axis::Figure;
use bars::{Bar, Bars};
use lines::Lines;

const TITLE: Type = Type::new(13.0, Colour::Ink).bold();
const SMALL: Type = Type::new(11.5, Colour::Muted);

/// What more clients cost one of them, where most is to be moved: the time per client over the clients, a line a number of
/// server workers; with its legend. None if nothing varies.
pub(super) fn headline(
    variant: &Variant<'_>,
    operation: Operation,
    lang: Lang,
) -> Option<(Svg, Plate)> {
    let variants = std::slice::from_ref(variant);
    let mut axes = Axes::of(variants, operation);
    axes.volumes = axes.volumes.last().copied().into_iter().collect();
    let figure = Figure::Time;
    let lines = Lines {
        variants,
        operation,
        figure,
        lang,
        axes,
    };
    let mut plate = lines.plate()?;
    Some((plate.panels.pop()?, plate))
}

/// The charts of one operation; nothing that there is no data for.
pub(super) fn plates(variants: &[Variant<'_>], operation: Operation, lang: Lang) -> Vec<Plate> {
    let lines = Figure::ALL.map(|figure| {
        let lines = Lines {
            variants,
            operation,
            figure,
            lang,
            axes: Axes::of(variants, operation),
        };
        lines.plate()
    });
    let parts = parts(variants, operation, lang);
    lines.into_iter().flatten().chain(parts).collect()
}

/// The values of each axis, in order.
struct Axes {
    volumes: BTreeSet<u64>,
    clients: BTreeSet<u32>,
    servers: BTreeSet<u32>,
}

impl Axes {
    fn of(variants: &[Variant<'_>], operation: Operation) -> Self {
        let places: Vec<Place> = variants
            .iter()
            .flat_map(|variant| variant.rows.iter().map(|row| Place::of(row)))
            .filter(|place| place.operation == operation)
            .collect();
        Self {
            volumes: places.iter().map(|place| place.volume).collect(),
            clients: places.iter().map(|place| place.clients).collect(),
            servers: places.iter().map(|place| place.servers).collect(),
        }
    }
}

/// Where the time went: one panel a volume with a bar for each pair of pools; with several variants the largest
/// volume alone, one panel a number of clients.
fn parts(variants: &[Variant<'_>], operation: Operation, lang: Lang) -> Option<Plate> {
    let axes = Axes::of(variants, operation);
    let largest = *axes.volumes.last()?;
    let panels: Vec<Svg> = match variants {
        [variant] => {
            let panel = |volume: &u64| {
                let pairs = axes.clients.iter().flat_map(|clients| {
                    axes.servers.iter().map(move |servers| (*clients, *servers))
                });
                let bars = pairs.filter_map(|(clients, servers)| {
                    let place = Place::new(operation, *volume, clients, servers);
                    let name = format!("{} → {}", lang.int(clients), lang.int(servers));
                    bar(variant, place, name)
                });
                draw_bars(size::format(*volume), bars.collect(), operation, lang)
            };
            axes.volumes.iter().filter_map(panel).collect()
        }
        variants => {
            let panel = |clients: &u32| {
                let bars = axes.servers.iter().flat_map(|servers| {
                    let place = Place::new(operation, largest, *clients, *servers);
                    variants.iter().filter_map(move |variant| {
                        let name = format!("{}, {}", variant.label, lang.int(*servers));
                        bar(variant, place, name)
                    })
                });
                let clients = client_workers(*clients, lang);
                let title = format!("{}, {clients}", size::format(largest));
                draw_bars(title, bars.collect(), operation, lang)
            };
            axes.clients.iter().filter_map(panel).collect()
        }
    };
    let name = nine::operation(operation);
    (!panels.is_empty()).then(|| Plate {
        title: say!(lang, "chart.where_time_goes", operation = name),
        caption: bars_caption(variants.len() > 1, lang),
        legend: bars::legend(operation, lang),
        columns: panels.len().clamp(1, 3),
        panels,
    })
}

fn server_workers(servers: u32, lang: Lang) -> String {
    count!(lang, "findings.server_workers", servers)
}

fn client_workers(clients: u32, lang: Lang) -> String {
    count!(lang, "chart.client_workers_of_pool", clients)
}

fn bar(variant: &Variant<'_>, place: Place, name: String) -> Option<Bar> {
    let row = variant.at(place)?;
    let parts = Parts::of(variant.run.contents.samples_of(row.cell.number))?;
    Some(Bar { name, parts })
}

fn draw_bars(title: String, bars: Vec<Bar>, operation: Operation, lang: Lang) -> Option<Svg> {
    let is_drawn = !bars.is_empty();
    let bars = Bars {
        title,
        bars,
        operation,
        lang,
    };
    is_drawn.then(|| bars.draw())
}

fn bars_caption(has_variants: bool, lang: Lang) -> Text {
    let names = match has_variants {
        true => lang.text("chart.bars_named_by_server_workers"),
        false => lang.text("chart.bars_named_by_pools"),
    };
    let figures = lang.text("chart.bars_figures");
    Text::plain(format!("{names} {figures}"))
}
