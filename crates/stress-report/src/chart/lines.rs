//! Plates of lines: a figure over the number of client workers (or of server workers, where only these vary), with
//! one panel a volume and a line for each size of the other pool; with several variants a panel for each volume and
//! size, with a line for each variant.

use stress_data::matrix::Operation;
use stress_data::measurement::Status;
use stress_data::size;
use stress_data::summary::Row;
use stress_data::summary::metric::Metric;
use stress_data::summary::statistics::Spread;

use super::axis::{Figure, Scale};
use super::panel::{Line, Panel, Point};
use super::{Axes, client_workers, server_workers};
use crate::document::{Key, Plate, Text};
use crate::lang::Lang;
use crate::nine;
use crate::svg::{Colour, Look, Mark, Svg};
use crate::texts::say;
use crate::variants::{Place, Variant};

/// What is over what.
pub(super) struct Lines<'a> {
    pub(super) variants: &'a [Variant<'a>],
    pub(super) operation: Operation,
    pub(super) figure: Figure,
    pub(super) lang: Lang,
    pub(super) axes: Axes,
}

/// Which pool's size grows to the right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Over {
    Clients,
    Servers,
}

/// The panels of a plate, each with its volume and the size of the other pool.
type Panels = Vec<(u64, u32, Vec<Line>)>;

impl Lines<'_> {
    /// None if nothing varies, or nothing was measured.
    pub(super) fn plate(&self) -> Option<Plate> {
        let over = match (self.axes.clients.len(), self.axes.servers.len()) {
            (2.., _) => Over::Clients,
            (_, 2..) => Over::Servers,
            _ => return None,
        };
        let panels = self.panels(over);
        let points = || {
            panels
                .iter()
                .flat_map(|(.., lines)| lines)
                .flat_map(|line| &line.points)
        };
        points().next()?;
        let y = Scale::around(
            points().flat_map(|point| [point.y.min, point.y.max]),
            self.figure,
        );
        let has_bad = points().any(|point| point.is_bad);
        let has_spread = points().any(|point| point.y.mad.is_some());
        let operation = nine::operation(self.operation);
        let figure = self.figure.name(self.lang);
        let drawn = panels
            .iter()
            .map(|(volume, other, lines)| self.draw(over, *volume, *other, lines, &y));
        Some(Plate {
            title: format!("{operation}: {figure}"),
            caption: self.caption(over, has_spread),
            legend: self.legend(over, has_bad),
            columns: self.axes.volumes.len().clamp(1, 3),
            panels: drawn.collect(),
        })
    }

    fn sizes(&self, over: Over) -> (Vec<u32>, Vec<u32>) {
        let clients = self.axes.clients.iter().copied().collect();
        let servers = self.axes.servers.iter().copied().collect();
        match over {
            Over::Clients => (clients, servers),
            Over::Servers => (servers, clients),
        }
    }

    fn panels(&self, over: Over) -> Panels {
        let (sizes, others) = self.sizes(over);
        let mut panels: Panels = Vec::new();
        for (index, other) in others.iter().enumerate() {
            for volume in &self.axes.volumes {
                let line = |variant| Line {
                    look: self.look(variant, index),
                    points: sizes
                        .iter()
                        .filter_map(|size| {
                            self.point(variant, self.place(over, *volume, *size, *other), *size)
                        })
                        .collect(),
                };
                let lines = self.variants.iter().map(line);
                // Of a single variant all lines of a volume are in one panel.
                let known = panels.iter_mut().find(|(known, ..)| known == volume);
                match known.filter(|_| self.variants.len() == 1) {
                    Some((.., all)) => all.extend(lines),
                    None => panels.push((*volume, *other, lines.collect())),
                }
            }
        }
        panels
    }

    const fn place(&self, over: Over, volume: u64, size: u32, other: u32) -> Place {
        match over {
            Over::Clients => Place::new(self.operation, volume, size, other),
            Over::Servers => Place::new(self.operation, volume, other, size),
        }
    }

    fn draw(&self, over: Over, volume: u64, other: u32, lines: &[Line], y: &Scale) -> Svg {
        let lang = self.lang;
        let (sizes, _) = self.sizes(over);
        let volume = size::format(volume);
        let title = match self.variants {
            [_] => volume,
            _ => format!("{volume}, {}", self.other(over, other)),
        };
        let x_title = match over {
            Over::Clients => lang.text("chart.client_workers"),
            Over::Servers => lang.text("chart.server_workers"),
        };
        let operation = nine::operation(self.operation);
        let figure = self.figure.name(lang);
        let alt = say!(lang, "chart.alt", operation, figure, title, x_title);
        let panel = Panel {
            title,
            alt,
            sizes: &sizes,
            x_title,
            y,
            lines,
            lang,
        };
        panel.draw()
    }

    fn other(&self, over: Over, size: u32) -> String {
        match over {
            Over::Clients => server_workers(size, self.lang),
            Over::Servers => client_workers(size, self.lang),
        }
    }

    /// By the place among the sizes of the other pool, or by the variant.
    fn look(&self, variant: &Variant<'_>, index: usize) -> Look {
        let series = match self.variants {
            [_] => index,
            _ => variant.colour,
        };
        Look {
            colour: Colour::Series(series),
            mark: Mark::of(series),
            is_dashed: variant.is_dashed,
        }
    }

    fn legend(&self, over: Over, has_bad: bool) -> Vec<Key> {
        let (_, others) = self.sizes(over);
        let key = |variant, index, label| Key {
            swatch: self.look(variant, index).swatch(),
            label,
        };
        let mut keys: Vec<Key> = match self.variants {
            [variant] => (0..)
                .zip(others)
                .map(|(index, size)| key(variant, index, self.other(over, size)))
                .collect(),
            variants => variants
                .iter()
                .map(|variant| key(variant, 0, variant.label.clone()))
                .collect(),
        };
        if has_bad {
            let mut swatch = Svg::new(14.0, 12.0, "");
            swatch.cross((7.0, 6.0), "");
            let label = self.lang.text("chart.something_failed").into();
            keys.push(Key { swatch, label });
        }
        keys
    }

    fn point(&self, variant: &Variant<'_>, place: Place, size: u32) -> Option<Point> {
        let row = variant.at(place)?;
        let y = match self.figure {
            Figure::Time => row.time_ns?,
            Figure::Throughput => throughput(variant, row)?,
            Figure::Ceiling => {
                let share = row.ceiling_share()?;
                Spread::of([(share * 1e6) as u64])?
            }
        };
        let (lang, unit) = (self.lang, self.figure);
        let figure = unit.text(y.median, lang);
        let range = match y.mad {
            Some(_) => format!(" ({} – {})", unit.text(y.min, lang), unit.text(y.max, lang)),
            None => String::new(),
        };
        let number = lang.int(row.cell.number);
        Some(Point {
            size,
            y,
            is_bad: row.status != Status::Ok,
            words: say!(lang, "chart.point", number, figure, range),
        })
    }

    fn caption(&self, over: Over, has_spread: bool) -> Text {
        let lang = self.lang;
        let scales = lang.text(match (self.figure, over) {
            (Figure::Throughput, Over::Clients) => "chart.scales_of_throughput",
            (Figure::Time, Over::Clients) => "chart.scales_of_time",
            (Figure::Ceiling, _) => return Text::plain(lang.text("chart.scales_of_ceiling")),
            (_, Over::Servers) => "chart.scales",
        });
        let marks = lang.text(match has_spread {
            true => "chart.marks_with_spread",
            false => "chart.marks_of_one_sample",
        });
        Text::plain(format!("{scales} {marks}"))
    }
}

/// The spread over samples; of the row's own figure alone where samples were not all verified.
fn throughput(variant: &Variant<'_>, row: &Row) -> Option<Spread> {
    let of_samples =
        Metric::ThroughputPerClientBytesPerS.values(&variant.run.contents, row.cell.number);
    let median = row.throughput_bytes_per_s?;
    match Spread::of(of_samples) {
        Some(spread) if spread.median == median => Some(spread),
        _ => Spread::of([median]),
    }
}
