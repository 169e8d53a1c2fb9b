//! The architecture as a drawing: the harness on the left, the server on the right, what passes between them.

use std::collections::BTreeSet;

use stress_data::matrix::{Cell, ClientPool, ServerPool};

use super::lang::Lang;
use super::svg::{Anchor, Colour, Pen, Place, Svg, Type};
use super::texts::say;
use super::variants::{Foreign, Variant, foreign_server};

const TITLE: Type = Type::new(13.5, Colour::Ink).bold();
const WORDS: Type = Type::new(12.0, Colour::Muted);
const FRAME: Pen = Pen::new(Colour::Muted, 1.2);
const FLOW: Pen = Pen::new(Colour::Accent, 1.8);

/// What of the architecture depends on what was run.
struct Scene<'a> {
    lang: Lang,
    /// `1, 5, 50`.
    clients: String,
    servers: String,
    client_pools: BTreeSet<ClientPool>,
    /// Those of our servers.
    server_pools: BTreeSet<ServerPool>,
    /// The first server, if none of them is ours.
    foreign: Option<Foreign<'a>>,
    /// Whether any server said what its workers did.
    has_ledger: bool,
}

/// The drawing for these variants.
pub(super) fn draw(variants: &[Variant<'_>], lang: Lang) -> Svg {
    let scene = Scene::of(variants, lang);
    let mut svg = Svg::new(960.0, 472.0, lang.text("diagram.alt"));
    scene.harness(&mut svg);
    match scene.foreign {
        None => scene.own_server(&mut svg),
        Some(server) => scene.foreign_server(&mut svg, server),
    }
    scene.between(&mut svg);
    svg
}

impl<'a> Scene<'a> {
    fn of(variants: &'a [Variant<'_>], lang: Lang) -> Self {
        let rows = || variants.iter().flat_map(|variant| &variant.rows);
        let own_rows = rows().filter(|row| row.is_own_server);
        let sizes = |pick: fn(&Cell) -> u32| {
            let sizes: BTreeSet<u32> = rows().map(|row| pick(&row.cell)).collect();
            let sizes: Vec<String> = sizes.into_iter().map(|size| lang.int(size)).collect();
            sizes.join(", ")
        };
        let first = |variant: &'a Variant<'_>| foreign_server(variant.run, &variant.rows[0].cell);
        let servers = variants.iter().map(first);
        let foreign: Option<Vec<Foreign<'a>>> = servers.collect();
        Self {
            lang,
            clients: sizes(|cell| cell.clients),
            servers: sizes(|cell| cell.servers),
            client_pools: rows().map(|row| row.cell.client_pool).collect(),
            server_pools: own_rows.map(|row| row.cell.server_pool).collect(),
            foreign: foreign.and_then(|servers| servers.first().copied()),
            has_ledger: rows().any(|row| row.server_workers.is_some()),
        }
    }

    fn cards<const N: usize>(&self, svg: &mut Svg, cards: [(Place, &str); N]) {
        for (place, key) in cards {
            card(svg, place, self.lang.text(key));
        }
    }

    fn harness(&self, svg: &mut Svg) {
        let lang = self.lang;
        // What the records are held against.
        let checking = match self.has_ledger || self.foreign.is_none() {
            true => "diagram.records_against_ledger",
            false => "diagram.uploads_read_back",
        };
        container(svg, 8.0, lang.text("diagram.harness"));
        let plan = ([28.0, 48.0, 168.0, 62.0], "diagram.plan");
        let files = ([216.0, 48.0, 168.0, 62.0], "diagram.test_files");
        self.cards(svg, [plan, files]);
        self.client_pool(svg);
        let records = ([28.0, 280.0, 168.0, 78.0], "diagram.records");
        let checking = ([216.0, 280.0, 168.0, 78.0], checking);
        let journal = ([28.0, 384.0, 356.0, 62.0], "diagram.journal");
        self.cards(svg, [records, checking, journal]);
        svg.arrow(&[(206.0, 110.0), (206.0, 132.0)], FLOW);
        svg.arrow(&[(112.0, 256.0), (112.0, 280.0)], FLOW);
        svg.arrow(&[(196.0, 319.0), (216.0, 319.0)], FLOW);
        svg.arrow(&[(300.0, 358.0), (300.0, 384.0)], FLOW);
    }

    fn client_pool(&self, svg: &mut Svg) {
        let lang = self.lang;
        let workers = lang.workers(&self.clients);
        let title = say!(lang, "diagram.client_pool", workers);
        card(svg, [28.0, 132.0, 356.0, 124.0], &title);
        workers_of(svg, 44.0, (58.0, 8.0), &["1", "2", "3", "…", "N"]);
        let line = Pen {
            dash: "3 3",
            ..Pen::new(Colour::Accent, 1.4)
        };
        svg.line((44.0, 203.0), (366.0, 203.0), line);
        let kinds = [
            (ClientPool::Process, "diagram.processes"),
            (ClientPool::Thread, "diagram.threads"),
        ];
        let kinds = kinds
            .iter()
            .filter(|(it, _)| self.client_pools.contains(it));
        let kinds: Vec<&str> = kinds.map(|(_, key)| lang.text(key)).collect();
        let kinds = kinds.join(&format!(" {} ", lang.text("diagram.or")));
        let released = say!(lang, "diagram.all_released_at_once", kinds);
        let connection = lang.text("diagram.one_connection_an_operation");
        lines(svg, (44.0, 222.0), 17.0, WORDS, [&*released, connection]);
    }

    fn own_server(&self, svg: &mut Svg) {
        container(svg, 556.0, self.lang.text("diagram.own_server"));
        self.cards(svg, [([576.0, 48.0, 356.0, 62.0], "diagram.parent")]);
        self.queue_and_workers(svg);
        let scoreboard = ([576.0, 280.0, 168.0, 78.0], "diagram.scoreboard");
        let files = ([764.0, 280.0, 168.0, 78.0], "diagram.files");
        let announced = ([576.0, 384.0, 356.0, 62.0], "diagram.ready_and_done");
        self.cards(svg, [scoreboard, files, announced]);
        svg.arrow(&[(760.0, 110.0), (760.0, 132.0)], FLOW);
        svg.arrow(&[(848.0, 256.0), (848.0, 280.0)], FLOW);
        svg.arrow(&[(720.0, 256.0), (720.0, 280.0)], FLOW);
        svg.arrow(&[(660.0, 358.0), (660.0, 384.0)], FLOW);
    }

    fn queue_and_workers(&self, svg: &mut Svg) {
        let lang = self.lang;
        self.cards(svg, [([576.0, 132.0, 92.0, 124.0], "diagram.queue")]);
        svg.arrow(&[(668.0, 178.0), (690.0, 178.0)], FLOW);
        let title = say!(lang, "diagram.pool", workers = lang.workers(&self.servers));
        card(svg, [690.0, 132.0, 242.0, 124.0], &title);
        workers_of(svg, 702.0, (50.0, 6.0), &["1", "2", "…", "N"]);
        let kinds = [
            (ServerPool::Event, "diagram.event_workers"),
            (ServerPool::Process, "diagram.process_workers"),
            (ServerPool::Thread, "diagram.thread_workers"),
        ];
        let kinds = kinds
            .iter()
            .filter(|(it, _)| self.server_pools.contains(it));
        let kinds = kinds.map(|(_, key)| lang.text(key));
        lines(svg, (702.0, 212.0), 16.0, WORDS, kinds);
    }

    fn foreign_server(&self, svg: &mut Svg, server: Foreign<'_>) {
        let lang = self.lang;
        let (title, how) = match server {
            Foreign::Command(_) => ("diagram.foreign_server", "diagram.command"),
            Foreign::Target(_) => ("diagram.server_that_ran_already", "diagram.address"),
        };
        container(svg, 556.0, lang.text(title));
        let mut words = vec![lang.text(how).to_owned()];
        words.extend(wrapped(server.words(), 52).into_iter().take(6));
        card(svg, [576.0, 48.0, 356.0, 140.0], &words.join("\n"));
        let ledger = lang.text(match self.has_ledger {
            true => "diagram.ledger_by_admin_socket",
            false => "diagram.no_ledger",
        });
        let known = say!(lang, "diagram.known", sizes = self.servers, ledger);
        card(svg, [576.0, 212.0, 356.0, 78.0], &known);
    }

    fn between(&self, svg: &mut Svg) {
        let lang = self.lang;
        let middle = WORDS.anchored(Anchor::Middle);
        let is_started = !matches!(self.foreign, Some(Foreign::Target(_)));
        if is_started {
            svg.text((480.0, 66.0), middle, lang.text("diagram.starts_it_waits"));
        }
        let until = match self.foreign {
            None => "diagram.for_ready",
            Some(_) => "diagram.until_it_answers",
        };
        svg.text((480.0, 98.0), middle, lang.text(until));
        svg.text((480.0, 164.0), middle, "TCP");
        let protocol = lang.text("diagram.protocol").lines();
        lines(svg, (480.0, 200.0), 15.0, middle, protocol);
        svg.arrow(&[(404.0, 79.0), (556.0, 79.0)], FLOW);
        let both = Pen::new(Colour::Accent, 2.4);
        svg.arrow(&[(470.0, 178.0), (384.0, 178.0)], both);
        svg.arrow(&[(470.0, 178.0), (576.0, 178.0)], both);
        if self.foreign.is_none() {
            let ledger = lang.text("diagram.ledger").lines();
            lines(svg, (458.0, 372.0), 15.0, WORDS, ledger);
            let corners = [(450.0, 415.0), (450.0, 319.0)];
            let [from, to] = [(576.0, 415.0), (384.0, 319.0)];
            svg.arrow(&[from, corners[0], corners[1], to], FLOW);
        }
    }
}

/// The words of several lines, so far apart.
fn lines<'w>(
    svg: &mut Svg,
    (x, mut y): (f64, f64),
    step: f64,
    look: Type,
    words: impl IntoIterator<Item = &'w str>,
) {
    for line in words {
        svg.text((x, y), look, line);
        y += step;
    }
}

fn container(svg: &mut Svg, x: f64, title: &str) {
    let pen = Pen::new(Colour::Line, 1.2);
    let place = [x, 8.0, 396.0, 456.0];
    svg.rect(place, 10.0, Colour::Soft, Some(pen), "");
    let look = Type::new(14.5, Colour::Accent).bold();
    svg.text((x + 20.0, 33.0), look, title);
}

/// The first line of `text` is the title.
fn card(svg: &mut Svg, place: Place, text: &str) {
    svg.rect(place, 6.0, Colour::Paper, Some(FRAME), "");
    let [x, y, ..] = place;
    let (title, rest) = text.split_once('\n').unwrap_or((text, ""));
    svg.text((x + 12.0, y + 20.0), TITLE, title);
    lines(svg, (x + 12.0, y + 37.0), 16.0, WORDS, rest.lines());
}

/// A pool's workers from `x` on, of this width and with this gap between them.
fn workers_of(svg: &mut Svg, x: f64, (width, gap): (f64, f64), names: &[&str]) {
    let pen = Pen::new(Colour::Series(0), 1.4);
    for (index, name) in names.iter().enumerate() {
        let x = x + (width + gap) * index as f64;
        if *name != "…" {
            let place = [x, 164.0, width, 28.0];
            svg.rect(place, 5.0, Colour::Soft, Some(pen), "");
        }
        let look = Type {
            is_bold: index == 0,
            ..Type::new(WORDS.size, Colour::Ink).anchored(Anchor::Middle)
        };
        svg.text((x + width / 2.0, 182.5), look, name);
    }
}

/// `text` in lines of at most `width` characters, broken at spaces where there are any.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let word: String = word.chars().take(width).collect();
        let last = lines.last_mut().expect("there is always a line");
        if last.is_empty() {
            *last = word;
        } else if last.chars().count() + 1 + word.chars().count() <= width {
            last.push(' ');
            last.push_str(&word);
        } else {
            lines.push(word);
        }
    }
    lines
}
