//! A panel: a figure over the size of a pool, a line for each series.

use stress_data::summary::statistics::Spread;

use super::axis::Scale;
use super::{SMALL, TITLE};
use crate::lang::Lang;
use crate::svg::{Anchor, Colour, Look, Pen, Svg, text_width};

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 224.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 30.0;
const BOTTOM: f64 = 40.0;
/// Between the marks of two series at the same place.
const DODGE: f64 = 4.0;

/// What is drawn.
pub(super) struct Panel<'a> {
    pub(super) title: String,
    pub(super) alt: String,
    pub(super) sizes: &'a [u32],
    pub(super) x_title: &'static str,
    pub(super) y: &'a Scale,
    pub(super) lines: &'a [Line],
    pub(super) lang: Lang,
}

/// A series.
pub(super) struct Line {
    pub(super) look: Look,
    pub(super) points: Vec<Point>,
}

/// A figure of a row.
pub(super) struct Point {
    pub(super) size: u32,
    pub(super) y: Spread,
    pub(super) is_bad: bool,
    /// What is shown on pointing at it.
    pub(super) words: String,
}

impl Panel<'_> {
    pub(super) fn draw(&self) -> Svg {
        let mut svg = Svg::new(WIDTH, HEIGHT, self.alt.clone());
        svg.text((LEFT, 18.0), TITLE, &self.title);
        self.draw_grid(&mut svg);
        let count = self.lines.len();
        for (index, line) in self.lines.iter().enumerate() {
            let dodge =
                (index as f64 - (count as f64 - 1.0) / 2.0) * DODGE.min(24.0 / count as f64);
            self.draw_line(&mut svg, line, dodge);
        }
        svg
    }

    fn draw_grid(&self, svg: &mut Svg) {
        let grid = Pen::new(Colour::Line, 1.0);
        let beside = SMALL.anchored(Anchor::End);
        for (value, words) in self.y.ticks(self.lang) {
            let y = self.y_of(value);
            svg.line((LEFT, y), (WIDTH - RIGHT, y), grid);
            svg.text((LEFT - 6.0, y + 4.0), beside, &words);
        }
        let base = HEIGHT - BOTTOM;
        let axis = Pen::new(Colour::Muted, 1.0);
        svg.line((LEFT, base), (WIDTH - RIGHT, base), axis);
        let below = SMALL.anchored(Anchor::Middle);
        let mut last_end = f64::NEG_INFINITY;
        for size in self.sizes {
            let x = self.x_of(*size);
            let words = self.lang.int(*size);
            let half = text_width(&words, SMALL.size) / 2.0;
            svg.line((x, base), (x, base + 4.0), axis);
            // Where numbers would run into each other the later one is left out.
            if x - half > last_end + 2.0 {
                svg.text((x, base + 17.0), below, &words);
                last_end = x + half;
            }
        }
        let middle = f64::midpoint(LEFT, WIDTH - RIGHT);
        svg.text((middle, HEIGHT - 6.0), below, self.x_title);
    }

    fn draw_line(&self, svg: &mut Svg, line: &Line, dodge: f64) {
        let colour = line.look.colour;
        let at = |point: &Point| {
            (
                self.x_of(point.size) + dodge,
                self.y_of(point.y.median as f64),
            )
        };
        let through: Vec<(f64, f64)> = line.points.iter().map(at).collect();
        svg.path(&through, line.look.pen());
        for point in &line.points {
            let (x, y) = at(point);
            if let Some(mad) = point.y.mad {
                let whisker =
                    |low: u64, high: u64| ((x, self.y_of(low as f64)), (x, self.y_of(high as f64)));
                let (from, to) = whisker(point.y.min, point.y.max);
                svg.line(from, to, Pen::new(colour, 1.0));
                let low = point.y.median.saturating_sub(mad);
                let (from, to) = whisker(low, point.y.median.saturating_add(mad));
                svg.line(from, to, Pen::new(colour, 3.0));
            }
            svg.mark((x, y), line.look, &point.words);
            if point.is_bad {
                svg.cross((x, y), &point.words);
            }
        }
    }

    /// On a logarithmic scale from the least to the greatest size; in the middle if there is one.
    fn x_of(&self, size: u32) -> f64 {
        let edge = 22.0;
        let (left, right) = (LEFT + edge, WIDTH - RIGHT - edge);
        let log = |size: u32| f64::from(size).ln();
        match self.sizes {
            [first, .., last] => {
                let share = (log(size) - log(*first)) / (log(*last) - log(*first));
                left + share * (right - left)
            }
            _ => f64::midpoint(left, right),
        }
    }

    fn y_of(&self, value: f64) -> f64 {
        let base = HEIGHT - BOTTOM;
        base - self.y.place(value) * (base - TOP)
    }
}
