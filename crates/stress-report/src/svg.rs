//! Drawings: shapes and words on a plane, in colours that the page or the paper gives.

use maud::{Markup, PreEscaped, html};

/// A drawing. It is scaled to the room it gets; a length of one is about a pixel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Svg {
    width: f64,
    height: f64,
    /// What it shows, for those who do not see it; empty for an ornament.
    alt: String,
    body: String,
}

/// Where a rectangle is: its corner and its size.
pub(crate) type Place = [f64; 4];

/// A colour by what it is for. The page's style gives it: in light, in dark and on paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// Words.
    Ink,
    /// Words of less weight.
    Muted,
    /// Lines of a frame or grid.
    Line,
    /// Behind everything.
    Paper,
    /// The inside of boxes.
    Soft,
    /// What a diagram stresses.
    Accent,
    /// What went wrong.
    Bad,
    /// A series of a chart; from the ninth on they begin again.
    Series(usize),
}

/// So many series the page's style has colours for.
const SERIES_LEN: usize = 8;

impl Colour {
    /// As it is written in an attribute.
    pub(crate) fn token(self) -> String {
        let name = match self {
            Self::Ink => "ink",
            Self::Muted => "muted",
            Self::Line => "line",
            Self::Paper => "paper",
            Self::Soft => "soft",
            Self::Accent => "accent",
            Self::Bad => "bad",
            Self::Series(number) => return format!("var(--s{})", number % SERIES_LEN),
        };
        format!("var(--{name})")
    }
}

/// Where words stand against their point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Anchor {
    /// Right of it.
    Start,
    /// In the middle.
    Middle,
    /// Left of it.
    End,
}

impl Anchor {
    const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Middle => "middle",
            Self::End => "end",
        }
    }
}

/// How words look.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Type {
    /// The size of the letters.
    pub(crate) size: f64,
    /// Their colour.
    pub(crate) colour: Colour,
    /// Where they stand.
    pub(crate) anchor: Anchor,
    /// Whether they are bold.
    pub(crate) is_bold: bool,
}

impl Type {
    /// From their point on, in ordinary weight.
    pub(crate) const fn new(size: f64, colour: Colour) -> Self {
        Self {
            size,
            colour,
            anchor: Anchor::Start,
            is_bold: false,
        }
    }

    pub(crate) const fn bold(mut self) -> Self {
        self.is_bold = true;
        self
    }

    pub(crate) const fn anchored(mut self, anchor: Anchor) -> Self {
        self.anchor = anchor;
        self
    }
}

/// How a line is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pen {
    /// Its colour.
    pub(crate) colour: Colour,
    /// Its width.
    pub(crate) width: f64,
    /// Its dashes; empty for a whole line.
    pub(crate) dash: &'static str,
}

impl Pen {
    /// A whole line.
    pub(crate) const fn new(colour: Colour, width: f64) -> Self {
        Self {
            colour,
            width,
            dash: "",
        }
    }
}

/// The mark of a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// ●
    Circle,
    /// ■
    Square,
    /// ▲
    Triangle,
    /// ◆
    Diamond,
}

impl Mark {
    /// The mark of a series.
    pub(crate) const fn of(series: usize) -> Self {
        match series % 4 {
            0 => Self::Circle,
            1 => Self::Square,
            2 => Self::Triangle,
            _ => Self::Diamond,
        }
    }
}

/// How a series of a chart is drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Look {
    pub(crate) colour: Colour,
    pub(crate) mark: Mark,
    /// Dashed, with hollow marks.
    pub(crate) is_dashed: bool,
}

impl Look {
    pub(crate) const fn pen(self) -> Pen {
        Pen {
            colour: self.colour,
            width: 1.8,
            dash: if self.is_dashed { "5 3" } else { "" },
        }
    }

    pub(crate) fn swatch(self) -> Svg {
        let mut svg = Svg::new(30.0, 12.0, "");
        svg.path(&[(1.0, 6.0), (29.0, 6.0)], self.pen());
        svg.mark((15.0, 6.0), self, "");
        svg
    }
}

impl Svg {
    /// An empty drawing.
    pub(crate) fn new(width: f64, height: f64, alt: impl Into<String>) -> Self {
        Self {
            width,
            height,
            alt: alt.into(),
            body: String::new(),
        }
    }

    fn add(&mut self, shape: Markup) {
        self.body.push_str(&shape.into_string());
    }

    /// A straight line.
    pub(crate) fn line(&mut self, from: (f64, f64), to: (f64, f64), pen: Pen) {
        self.add(html! {
            line x1=(n(from.0)) y1=(n(from.1)) x2=(n(to.0)) y2=(n(to.1))
                stroke=(pen.colour.token()) stroke-width=(n(pen.width)) stroke-dasharray=[dash(pen)] {}
        });
    }

    /// A line through `points`.
    pub(crate) fn path(&mut self, points: &[(f64, f64)], pen: Pen) {
        self.add(html! {
            polyline points=(joined(points)) fill="none" stroke=(pen.colour.token())
                stroke-width=(n(pen.width)) stroke-linejoin="round" stroke-dasharray=[dash(pen)] {}
        });
    }

    /// A line through `points` with a head at its end.
    pub(crate) fn arrow(&mut self, points: &[(f64, f64)], pen: Pen) {
        let [.., before, tip] = points else { return };
        let (dx, dy) = (tip.0 - before.0, tip.1 - before.1);
        let length = dx.hypot(dy).max(1e-9);
        let (ux, uy) = (dx / length, dy / length);
        let base = (tip.0 - ux * 8.0, tip.1 - uy * 8.0);
        let mut shaft = points.to_vec();
        if let Some(last) = shaft.last_mut() {
            *last = (tip.0 - ux * 6.0, tip.1 - uy * 6.0);
        }
        self.path(&shaft, pen);
        let head = [
            *tip,
            (base.0 - uy * 4.0, base.1 + ux * 4.0),
            (base.0 + uy * 4.0, base.1 - ux * 4.0),
        ];
        self.polygon(&head, pen.colour, None);
    }

    /// A rectangle with round corners, with words, if any, that a browser shows on pointing at it.
    pub(crate) fn rect(
        &mut self,
        [x, y, width, height]: Place,
        radius: f64,
        fill: Colour,
        pen: Option<Pen>,
        title: &str,
    ) {
        self.add(html! {
            rect x=(n(x)) y=(n(y)) width=(n(width)) height=(n(height))
                rx=[(radius > 0.0).then(|| n(radius))] fill=(fill.token())
                stroke=[pen.map(|pen| pen.colour.token())] stroke-width=[pen.map(|pen| n(pen.width))]
                stroke-dasharray=[pen.and_then(dash)] {
                @if !title.is_empty() { title { (title) } }
            }
        });
    }

    /// Rectangles of one colour, with words that a browser shows on pointing at one of them.
    pub(crate) fn rects(&mut self, places: impl Iterator<Item = Place>, fill: Colour, title: &str) {
        let corners = |[x, y, width, height]: Place| {
            let [left, top, right, down, back] = [x, y, width, height, -width].map(n);
            format!("M{left} {top}h{right}v{down}h{back}z")
        };
        let shape: String = places.map(corners).collect();
        self.add(html! { path d=(shape) fill=(fill.token()) { title { (title) } } });
    }

    /// A filled shape.
    pub(crate) fn polygon(&mut self, points: &[(f64, f64)], fill: Colour, pen: Option<Pen>) {
        self.add(html! {
            polygon points=(joined(points)) fill=(fill.token())
                stroke=[pen.map(|pen| pen.colour.token())] stroke-width=[pen.map(|pen| n(pen.width))] {}
        });
    }

    /// The mark of a point, with words that a browser shows on pointing at it.
    pub(crate) fn mark(&mut self, (x, y): (f64, f64), look: Look, title: &str) {
        let circle = "a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0z";
        let shape = match look.mark {
            Mark::Circle => format!("M{} {}{circle}", n(x - 3.5), n(y)),
            Mark::Square => format!("M{} {}h6.4v6.4h-6.4z", n(x - 3.2), n(y - 3.2)),
            Mark::Triangle => format!("M{} {}l4 7.2h-8z", n(x), n(y - 4.4)),
            Mark::Diamond => format!("M{} {}l4.4 4.4l-4.4 4.4l-4.4 -4.4z", n(x), n(y - 4.4)),
        };
        let colour = look.colour;
        let fill = if look.is_dashed {
            Colour::Paper
        } else {
            colour
        };
        self.add(html! {
            path d=(shape) fill=(fill.token()) stroke=(colour.token()) stroke-width="1.4" {
                @if !title.is_empty() { title { (title) } }
            }
        });
    }

    /// A cross over what went wrong.
    pub(crate) fn cross(&mut self, (x, y): (f64, f64), title: &str) {
        let arms = format!("M{} {}l10 10m0 -10l-10 10", n(x - 5.0), n(y - 5.0));
        self.add(html! {
            path d=(arms) fill="none" stroke=(Colour::Bad.token()) stroke-width="2" {
                @if !title.is_empty() { title { (title) } }
            }
        });
    }

    /// Words on one line.
    pub(crate) fn text(&mut self, at: (f64, f64), look: Type, words: &str) {
        self.add(html! {
            text x=(n(at.0)) y=(n(at.1)) font-size=(n(look.size)) fill=(look.colour.token())
                text-anchor=(look.anchor.word()) font-weight=[look.is_bold.then_some("600")] { (words) }
        });
    }

    /// As an element of a page.
    pub(crate) fn to_html(&self) -> Markup {
        let view = format!("0 0 {} {}", n(self.width), n(self.height));
        let is_ornament = self.alt.is_empty();
        html! {
            svg viewBox=(view) width=(n(self.width)) height=(n(self.height))
                role=[(!is_ornament).then_some("img")]
                aria-label=[(!is_ornament).then_some(&self.alt)]
                aria-hidden=[is_ornament.then_some("true")] { (PreEscaped(&self.body)) }
        }
    }
}

/// How wide `words` are at most, about, in letters of `size`: sans-serif faces differ.
pub(crate) fn text_width(words: &str, size: f64) -> f64 {
    words.chars().map(|_| 0.58).sum::<f64>() * size
}

/// `words` in lines of letters of `size` that fit into `width`, broken between words where that is possible.
pub(crate) fn text_lines(words: &str, size: f64, width: f64) -> Vec<String> {
    let fits = |line: &str, more: &str| text_width(line, size) + text_width(more, size) <= width;
    let (mut lines, mut line) = (Vec::new(), String::new());
    for word in words.split_inclusive(' ') {
        if !line.is_empty() && !fits(&line, word.trim_end()) {
            lines.push(std::mem::take(&mut line));
        }
        for letter in word.chars() {
            if letter != ' ' && !fits(&line, letter.encode_utf8(&mut [0; 4])) {
                lines.push(std::mem::take(&mut line));
            }
            line.push(letter);
        }
    }
    lines.push(line);
    lines
}

fn dash(pen: Pen) -> Option<&'static str> {
    (!pen.dash.is_empty()).then_some(pen.dash)
}

fn joined(points: &[(f64, f64)]) -> String {
    let points = points.iter().map(|(x, y)| format!("{},{}", n(*x), n(*y)));
    points.collect::<Vec<_>>().join(" ")
}

/// A coordinate, to a tenth.
fn n(value: f64) -> String {
    let text = format!("{value:.1}");
    match text.strip_suffix(".0") {
        Some("-0") => "0".into(),
        Some(whole) => whole.into(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Type = Type::new(12.0, Colour::Series(9));

    #[test]
    fn lines_hold_every_letter_and_are_no_wider_than_there_is_room() {
        let check = |words: &str, want: &[&str]| {
            // Ten letters of this size.
            let lines = text_lines(words, 10.0, 58.5);
            assert_eq!(lines, want);
            assert_eq!(lines.concat(), words);
        };
        check("", &[""]);
        check("short", &["short"]);
        check("two words", &["two words"]);
        check("exactly 10", &["exactly 10"]);
        check("more than ten", &["more than ", "ten"]);
        check(
            "unbreakable_name.py, 5",
            &["unbreakabl", "e_name.py, ", "5"],
        );
    }

    #[test]
    fn words_cannot_leave_their_element() {
        let mut svg = Svg::new(10.0, 10.0, "a \"drawing\"");
        svg.text((1.0, 2.25), LOOK, "</text><script>");
        svg.cross((5.0, 5.0), "<b>");
        let html = svg.to_html().into_string();
        assert!(html.contains("&lt;/text&gt;&lt;script&gt;"), "{html}");
        assert!(html.contains("a &quot;drawing&quot;"), "{html}");
        assert!(!html.contains("<script") && !html.contains("<b>"), "{html}");
    }

    #[test]
    fn coordinates_are_short() {
        assert_eq!([n(1.0), n(1.25), n(-0.04), n(2.96)], ["1", "1.2", "0", "3"]);
    }
}
