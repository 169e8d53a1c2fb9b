//! The timeline of a row: a lane for each client and for each server worker, and below them the bytes of all together.

use std::time::Duration;

use super::bars::{CONNECT, REST, WAIT, key};
use super::{SMALL, TITLE};
use crate::document::Key;
use crate::lanes::{BINS, Kind, Lane, Lanes};
use crate::lang::Lang;
use crate::svg::{Anchor, Colour, Pen, Svg};
use crate::texts::say;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 44.0;
const RIGHT: f64 = 30.0;
/// Of a group's title, above its lanes.
const HEAD: f64 = 26.0;
/// What the lanes of one group share, as long as none is thinner or thicker than these.
const GROUP: f64 = 340.0;
const LANE_MIN: f64 = 2.0;
const LANE_MAX: f64 = 16.0;
/// Of the bytes.
const BYTES: f64 = 64.0;
const FOOT: f64 = 38.0;

/// What is drawn.
pub(crate) struct Timeline<'a> {
    pub(crate) lanes: &'a Lanes,
    /// What it is, for those who do not see it.
    pub(crate) alt: String,
    pub(crate) lang: Lang,
}

/// What the colours stand for, of those that are there.
pub(crate) fn legend(kinds: impl Fn(Kind) -> bool, lang: Lang) -> Vec<Key> {
    let kinds = KINDS.iter().filter(|(kind, ..)| kinds(*kind));
    kinds
        .map(|(_, colour, name)| key(*colour, lang.text(name)))
        .collect()
}

const KINDS: [(Kind, Colour, &str); 5] = [
    (Kind::Connecting, CONNECT, "timeline.connecting"),
    (Kind::Waiting, WAIT, "timeline.waiting"),
    (Kind::Moving, REST, "timeline.moving"),
    (Kind::Failed, Colour::Bad, "timeline.failed"),
    (Kind::Serving, Colour::Series(0), "timeline.serving"),
];

impl Timeline<'_> {
    pub(crate) fn draw(&self) -> Svg {
        let groups = [
            ("timeline.clients", &self.lanes.clients),
            ("timeline.workers", &self.lanes.workers),
        ];
        let groups = groups.map(|(title, lanes)| (title, lanes, steps(lanes)));
        let shown = groups.iter().filter(|(_, lanes, _)| !lanes.is_empty());
        let heights = shown
            .clone()
            .map(|(.., steps)| HEAD + steps.iter().sum::<f64>());
        let base = heights.sum::<f64>() + HEAD + BYTES;
        let mut svg = Svg::new(WIDTH, base + FOOT, self.alt.clone());
        self.draw_grid(&mut svg, base);
        let mut y = 0.0;
        for (title, lanes, steps) in shown {
            svg.text((0.0, y + 17.0), TITLE, self.lang.text(title));
            y += HEAD;
            let numbered = numbered(steps);
            for ((index, lane), step) in lanes.iter().enumerate().zip(steps) {
                if index % numbered == 0 {
                    let at = (LEFT - 8.0, y + step / 2.0 + 4.0);
                    let number = self.lang.int(lane.number);
                    svg.text(at, SMALL.anchored(Anchor::End), &number);
                }
                self.draw_lane(&mut svg, lane, y, *step);
                y += step;
            }
        }
        self.draw_bytes(&mut svg, y, base);
        svg
    }

    fn draw_lane(&self, svg: &mut Svg, lane: &Lane, y: f64, step: f64) {
        let height = step * 0.8 / lane.tracks as f64;
        for (kind, colour, name) in KINDS {
            let spans = lane.spans.iter().filter(|span| span.kind == kind);
            let places = spans.map(|span| {
                let [from, to] = [span.from_ns, span.to_ns].map(|ns| self.x_of(ns));
                let top = y + step * 0.1 + height * span.track as f64;
                // With a little room between two requests of one worker.
                let is_apart = kind == Kind::Serving && to - from > 4.0;
                let room = if is_apart { 0.8 } else { 0.0 };
                [from, top, (to - from - room).max(0.2), height]
            });
            let places: Vec<_> = places.collect();
            if !places.is_empty() {
                let number = self.lang.int(lane.number);
                let name = self.lang.text(name);
                let time = self.lang.time(Duration::from_nanos(lane.total_ns(kind)));
                let words = say!(self.lang, "timeline.lane", number, name, time);
                svg.rects(places.into_iter(), colour, &words);
            }
        }
    }

    /// The bytes of each bin as a step of its own.
    fn draw_bytes(&self, svg: &mut Svg, y: f64, base: f64) {
        let most = self.lanes.bytes.iter().copied().fold(0.0, f64::max);
        let bin_s = self.lanes.window_ns as f64 / 1e9 / BINS as f64;
        let rate = self.lang.rate((most / bin_s) as u64);
        let title = say!(self.lang, "timeline.bytes", rate);
        svg.text((0.0, y + 17.0), TITLE, &title);
        let width = (WIDTH - LEFT - RIGHT) / BINS as f64;
        let mut points = vec![(LEFT, base)];
        for (bin, bytes) in (0_u32..).zip(&self.lanes.bytes) {
            let top = base - bytes / most.max(1.0) * BYTES;
            let left = LEFT + f64::from(bin) * width;
            points.extend([(left, top), (left + width, top)]);
        }
        points.push((WIDTH - RIGHT, base));
        svg.polygon(&points, REST, None);
        svg.line(
            (LEFT, base),
            (WIDTH - RIGHT, base),
            Pen::new(Colour::Muted, 1.0),
        );
    }

    fn draw_grid(&self, svg: &mut Svg, base: f64) {
        let middle = SMALL.anchored(Anchor::Middle);
        for (ns, words) in ticks(self.lanes.window_ns, self.lang) {
            let x = self.x_of(ns);
            let grid = Pen::new(Colour::Line, 1.0);
            svg.line((x, HEAD - 4.0), (x, base + 4.0), grid);
            svg.text((x, base + 17.0), middle, &words);
        }
        let words = self.lang.text("timeline.since_release");
        svg.text((WIDTH / 2.0, base + FOOT - 4.0), middle, words);
    }

    /// A worker may be done with a client after that has gone: the window ends all the same.
    fn x_of(&self, ns: u64) -> f64 {
        let share = ns as f64 / self.lanes.window_ns as f64;
        LEFT + share.min(1.0) * (WIDTH - LEFT - RIGHT)
    }
}

/// The height of each lane with the room below it: a worker with many requests at once has more.
fn steps(lanes: &[Lane]) -> Vec<f64> {
    let step = (GROUP / lanes.len().max(1) as f64).clamp(LANE_MIN, LANE_MAX);
    let wider = |lane: &Lane| step.max((lane.tracks as f64 * 3.0).min(LANE_MAX * 3.0));
    lanes.iter().map(wider).collect()
}

/// Each of how many lanes has its number beside it, so that they do not run into each other.
fn numbered(steps: &[f64]) -> usize {
    let least = steps.iter().copied().fold(LANE_MAX, f64::min);
    let fits = |each: &usize| *each as f64 * least >= SMALL.size;
    [1, 2, 5, 10].into_iter().find(fits).unwrap_or(10)
}

/// Round times from the release on, with their words.
fn ticks(window_ns: u64, lang: Lang) -> Vec<(u64, String)> {
    let units = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];
    let window = window_ns as f64;
    let (factor, unit) = units
        .into_iter()
        .find(|it| window >= it.0)
        .unwrap_or(units[3]);
    let rough = window / 8.0;
    let power = 10_f64.powf(rough.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    let step = steps
        .into_iter()
        .find(|step| *step >= rough)
        .unwrap_or(rough);
    let decimals = (factor / step).log10().ceil().max(0.0) as usize;
    let count = (window / step) as u32;
    let tick = |index: u32| {
        let ns = f64::from(index) * step;
        let words = lang.float(ns / factor, decimals);
        (ns as u64, format!("{words}\u{a0}{unit}"))
    };
    (0..=count).map(tick).collect()
}

#[cfg(test)]
mod tests {
    use stress_data::matrix::Operation;

    use super::*;
    use crate::svg::text_width;
    use crate::tests::made_up;

    #[test]
    fn a_client_that_waits_has_a_rectangle_of_that_length() {
        let contents = made_up::queued(Operation::Download);
        let lanes = Lanes::of(&contents.timelines[0]).unwrap();
        let drawing = Timeline {
            lanes: &lanes,
            alt: String::new(),
            lang: Lang::En,
        };
        let html = drawing.draw().to_html().into_string();
        // The sixth client waits from 130 to 5,830 of 11,330 µs: half of a plot of 886.
        let (from, length) = (44.0 + 886.0 * 130.0 / 11_330.0, 886.0 * 5_700.0 / 11_330.0);
        let top = HEAD + 5.0 * LANE_MAX + 1.6;
        let want = format!("M{from:.1} {top:.1}h{length:.1}v12.8");
        assert!(html.contains(&want), "{want} in {html}");
    }

    #[test]
    fn every_window_has_a_few_round_times_below_it() {
        let check = |window_ns, want: &[&str]| {
            let ticks = ticks(window_ns, Lang::En).into_iter();
            let words: Vec<String> = ticks.map(|it| it.1.replace('\u{a0}', " ")).collect();
            assert_eq!(words, want);
            let last = words.last().unwrap();
            assert!(text_width(last, SMALL.size) / 2.0 <= RIGHT, "{last}");
        };
        check(900, &["0 ns", "200 ns", "400 ns", "600 ns", "800 ns"]);
        check(
            402_000_000,
            &["0 ms", "100 ms", "200 ms", "300 ms", "400 ms"],
        );
        check(
            1_300_000_000,
            &[
                "0.0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s", "1.0 s", "1.2 s",
            ],
        );
        check(
            80_000_000_000,
            &[
                "0 s", "10 s", "20 s", "30 s", "40 s", "50 s", "60 s", "70 s", "80 s",
            ],
        );
    }
}
