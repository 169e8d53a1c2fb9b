//! Bars of one length each, split into the parts of an operation.

use std::time::Duration;

use stress_data::matrix::Operation;

use super::{SMALL, TITLE};
use crate::document::Key;
use crate::lang::Lang;
use crate::parts::Parts;
use crate::svg::{Anchor, Colour, Svg, text_lines, text_width};

const WIDTH: f64 = 320.0;
const TOP: f64 = 28.0;
const STEP: f64 = 17.0;
const THICKNESS: f64 = 11.0;
/// Of a name above its bar.
const LINE: f64 = 14.0;
/// Room for the time at the end.
const RIGHT: f64 = 62.0;

pub(super) const CONNECT: Colour = Colour::Series(4);
pub(super) const WAIT: Colour = Colour::Series(6);
pub(super) const REST: Colour = Colour::Series(5);

/// What is drawn.
pub(super) struct Bars {
    pub(super) title: String,
    pub(super) bars: Vec<Bar>,
    pub(super) operation: Operation,
    pub(super) lang: Lang,
}

/// A bar.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) parts: Parts,
}

/// What the colours stand for. The reply to an upload begins when the upload is over: its parts are others.
pub(super) fn legend(operation: Operation, lang: Lang) -> Vec<Key> {
    let [connect, wait, rest] = names(operation, lang);
    [(CONNECT, connect), (WAIT, wait), (REST, rest)]
        .map(|(colour, label)| key(colour, label))
        .into()
}

pub(super) fn key(colour: Colour, label: &str) -> Key {
    let mut swatch = Svg::new(14.0, 12.0, "");
    swatch.rect([1.0, 1.0, 12.0, 10.0], 2.0, colour, None, "");
    let label = label.into();
    Key { swatch, label }
}

fn names(operation: Operation, lang: Lang) -> [&'static str; 3] {
    let connect = lang.text("chart.release_to_connected");
    match operation {
        Operation::Download | Operation::List => [
            connect,
            lang.text("chart.connected_to_first_byte"),
            lang.text("chart.first_to_last_byte"),
        ],
        Operation::Upload => [
            connect,
            lang.text("chart.connected_to_answer"),
            lang.text("chart.first_to_last_byte_of_answer"),
        ],
    }
}

impl Bars {
    pub(super) fn draw(&self) -> Svg {
        let widest = self
            .bars
            .iter()
            .map(|bar| text_width(&bar.name, SMALL.size))
            .fold(0.0, f64::max);
        // Names of variants may be long: above their bars they have the whole width, and as many lines as they need.
        let is_above = widest + 8.0 > WIDTH / 2.0;
        let left = if is_above {
            0.0
        } else {
            (widest + 8.0).max(40.0)
        };
        let above = |bar: &Bar| match is_above {
            true => text_lines(&bar.name, SMALL.size, WIDTH),
            false => Vec::new(),
        };
        let bars = self.bars.iter();
        let height: f64 = bars.map(|bar| LINE * above(bar).len() as f64 + STEP).sum();
        let mut svg = Svg::new(WIDTH, TOP + height + 4.0, self.title.clone());
        svg.text((0.0, 15.0), TITLE, &self.title);
        let mut y = TOP;
        for bar in &self.bars {
            for line in above(bar) {
                svg.text((0.0, y + 9.5), SMALL, &line);
                y += LINE;
            }
            if !is_above {
                let beside = SMALL.anchored(Anchor::End);
                svg.text((left - 6.0, y + 9.5), beside, &bar.name);
            }
            self.draw_bar(&mut svg, bar, left, y);
            y += STEP;
        }
        svg
    }

    fn draw_bar(&self, svg: &mut Svg, bar: &Bar, left: f64, y: f64) {
        let length = WIDTH - RIGHT - left;
        let parts = &bar.parts;
        let mut x = left;
        let split = [parts.connect, parts.wait, parts.rest].map(|part| parts.mean_ns(part));
        let total = split.iter().sum::<f64>().max(1.0);
        let names = names(self.operation, self.lang);
        for ((ns, colour), name) in split.into_iter().zip([CONNECT, WAIT, REST]).zip(names) {
            let width = ns / total * length;
            let time = self.lang.time(Duration::from_nanos(ns as u64));
            let share = self.lang.percent(ns / total);
            let words = format!("{name}: {time} ({share})");
            if width >= 0.05 {
                svg.rect([x, y, width, THICKNESS], 0.0, colour, None, &words);
            }
            x += width;
        }
        let time = self.lang.time(Duration::from_nanos(total as u64));
        svg.text((WIDTH - RIGHT + 6.0, y + 9.5), SMALL, &time);
    }
}
