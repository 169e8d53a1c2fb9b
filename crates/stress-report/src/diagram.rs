//! The architecture as a drawing: the harness on the left, the server on the right, what passes between them.

use std::collections::BTreeSet;

use stress_data::summary::csv::value;

use super::lang::Lang;
use super::svg::{Anchor, Colour, Pen, Svg, Type};
use super::texts::say;
use super::variants::{Foreign, Variant, foreign_server};

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 472.0;

const TITLE: Type = Type {
    size: 13.5,
    colour: Colour::Ink,
    anchor: Anchor::Start,
    is_bold: true,
};
const WORDS: Type = Type {
    size: 12.0,
    colour: Colour::Muted,
    anchor: Anchor::Start,
    is_bold: false,
};
const FRAME: Pen = Pen::new(Colour::Muted, 1.2);
const FLOW: Pen = Pen::new(Colour::Accent, 1.8);

/// What of the architecture depends on what was run.
struct Scene<'a> {
    lang: Lang,
    /// `1, 5, 50`.
    clients: String,
    servers: String,
    client_pools: BTreeSet<String>,
    server_pools: BTreeSet<String>,
    /// The first server, if none of them is ours.
    foreign: Option<Foreign<'a>>,
    /// Whether any server said what its workers did.
    has_ledger: bool,
}

/// The drawing for these variants.
pub(super) fn draw(variants: &[Variant<'_>], lang: Lang) -> Svg {
    let scene = Scene::of(variants, lang);
    let alt = lang.text("diagram.alt");
    let mut svg = Svg::new(WIDTH, HEIGHT, alt);
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
        let column = |name: &str| -> BTreeSet<String> {
            let values = rows().filter_map(|row| value(row, name));
            values.filter(|value| !value.is_empty()).collect()
        };
        let sizes = |pick: fn(&stress_data::matrix::Cell) -> u32| {
            let sizes: BTreeSet<u32> = rows().map(|row| pick(&row.cell)).collect();
            let sizes: Vec<String> = sizes.into_iter().map(|size| lang.int(size)).collect();
            sizes.join(", ")
        };
        let servers = variants.iter().map(|variant| foreign_server(variant.run));
        let foreign: Option<Vec<Foreign<'a>>> = servers.collect();
        Self {
            lang,
            clients: sizes(|cell| cell.clients),
            servers: sizes(|cell| cell.servers),
            client_pools: column("client_pool"),
            server_pools: column("server_pool"),
            foreign: foreign.and_then(|servers| servers.first().copied()),
            has_ledger: rows().any(|row| row.server_workers.is_some()),
        }
    }

    fn harness(&self, svg: &mut Svg) {
        let lang = self.lang;
        let title = lang.text("diagram.harness");
        container(svg, (8.0, 8.0), (396.0, 456.0), title);
        card(
            svg,
            (28.0, 48.0),
            (168.0, 62.0),
            lang.text("diagram.plan"),
            lang.text("diagram.plan_lines"),
        );
        card(
            svg,
            (216.0, 48.0),
            (168.0, 62.0),
            lang.text("diagram.test_files"),
            lang.text("diagram.test_files_lines"),
        );
        self.client_pool(svg);
        card(
            svg,
            (28.0, 280.0),
            (168.0, 78.0),
            lang.text("diagram.records"),
            lang.text("diagram.records_lines"),
        );
        card(
            svg,
            (216.0, 280.0),
            (168.0, 78.0),
            lang.text("diagram.reconciliation"),
            self.checking(),
        );
        card(
            svg,
            (28.0, 384.0),
            (356.0, 62.0),
            "journal.ndjson",
            lang.text("diagram.journal_lines"),
        );
        svg.arrow(&[(206.0, 110.0), (206.0, 132.0)], FLOW);
        svg.arrow(&[(112.0, 256.0), (112.0, 280.0)], FLOW);
        svg.arrow(&[(196.0, 319.0), (216.0, 319.0)], FLOW);
        svg.arrow(&[(300.0, 358.0), (300.0, 384.0)], FLOW);
    }

    /// What the records are held against.
    fn checking(&self) -> &'static str {
        let has_ledger = self.has_ledger || self.foreign.is_none();
        self.lang.text(match has_ledger {
            true => "diagram.records_against_ledger",
            false => "diagram.uploads_read_back",
        })
    }

    fn client_pool(&self, svg: &mut Svg) {
        let lang = self.lang;
        let title = say!(
            lang,
            "diagram.client_pool",
            workers = lang.workers(&self.clients)
        );
        card(svg, (28.0, 132.0), (356.0, 124.0), &title, "");
        for (index, name) in ["1", "2", "3", "…", "N"].into_iter().enumerate() {
            worker(
                svg,
                (44.0 + 66.0 * index as f64, 164.0),
                (58.0, 28.0),
                name,
                index,
            );
        }
        let line = Pen {
            dash: "3 3",
            ..Pen::new(Colour::Accent, 1.4)
        };
        svg.line((44.0, 203.0), (366.0, 203.0), line);
        let pools = self.client_pools.iter().map(|pool| match pool.as_str() {
            "process" => lang.text("diagram.processes"),
            _ => lang.text("diagram.threads"),
        });
        let kinds = pools
            .collect::<Vec<_>>()
            .join(&format!(" {} ", lang.text("diagram.or")));
        let words = [
            say!(lang, "diagram.all_released_at_once", kinds),
            lang.text("diagram.one_connection_an_operation").to_owned(),
        ];
        for (index, words) in words.iter().enumerate() {
            svg.text((44.0, 222.0 + 17.0 * index as f64), WORDS, words);
        }
    }

    fn own_server(&self, svg: &mut Svg) {
        let lang = self.lang;
        let title = lang.text("diagram.own_server");
        container(svg, (556.0, 8.0), (396.0, 456.0), title);
        card(
            svg,
            (576.0, 48.0),
            (356.0, 62.0),
            lang.text("diagram.parent"),
            lang.text("diagram.parent_lines"),
        );
        self.queue_and_workers(svg);
        card(
            svg,
            (576.0, 280.0),
            (168.0, 78.0),
            lang.text("diagram.scoreboard"),
            lang.text("diagram.scoreboard_lines"),
        );
        card(
            svg,
            (764.0, 280.0),
            (168.0, 78.0),
            lang.text("diagram.files"),
            lang.text("diagram.files_lines"),
        );
        card(
            svg,
            (576.0, 384.0),
            (356.0, 62.0),
            "READY, DONE",
            lang.text("diagram.ready_and_done_lines"),
        );
        svg.arrow(&[(760.0, 110.0), (760.0, 132.0)], FLOW);
        svg.arrow(&[(848.0, 256.0), (848.0, 280.0)], FLOW);
        svg.arrow(&[(720.0, 256.0), (720.0, 280.0)], FLOW);
        svg.arrow(&[(660.0, 358.0), (660.0, 384.0)], FLOW);
    }

    fn queue_and_workers(&self, svg: &mut Svg) {
        let lang = self.lang;
        card(
            svg,
            (576.0, 132.0),
            (92.0, 124.0),
            lang.text("diagram.queue"),
            lang.text("diagram.queue_lines"),
        );
        svg.arrow(&[(668.0, 178.0), (690.0, 178.0)], FLOW);
        let title = say!(lang, "diagram.pool", workers = lang.workers(&self.servers));
        card(svg, (690.0, 132.0), (242.0, 124.0), &title, "");
        for (index, name) in ["1", "2", "…", "N"].into_iter().enumerate() {
            worker(
                svg,
                (702.0 + 56.0 * index as f64, 164.0),
                (50.0, 28.0),
                name,
                index,
            );
        }
        let lines = self.server_pools.iter().map(|pool| match pool.as_str() {
            "process" => lang.text("diagram.process_workers"),
            "thread" => lang.text("diagram.thread_workers"),
            "event" => lang.text("diagram.event_workers"),
            other => other,
        });
        for (index, line) in lines.enumerate() {
            svg.text((702.0, 212.0 + 16.0 * index as f64), WORDS, line);
        }
    }

    fn foreign_server(&self, svg: &mut Svg, server: Foreign<'_>) {
        let lang = self.lang;
        let (title, how) = match server {
            Foreign::Command(_) => (
                lang.text("diagram.foreign_server"),
                lang.text("diagram.command"),
            ),
            Foreign::Target(_) => (
                lang.text("diagram.server_that_ran_already"),
                lang.text("diagram.address"),
            ),
        };
        container(svg, (556.0, 8.0), (396.0, 456.0), title);
        let mut lines = wrapped(server.words(), 52);
        lines.truncate(6);
        card(svg, (576.0, 48.0), (356.0, 140.0), how, &lines.join("\n"));
        let workers = say!(lang, "diagram.workers_as_said", sizes = self.servers);
        let ledger = match self.has_ledger {
            true => lang.text("diagram.ledger_by_admin_socket"),
            false => lang.text("diagram.no_ledger"),
        };
        card(
            svg,
            (576.0, 212.0),
            (356.0, 78.0),
            lang.text("diagram.what_is_known"),
            &[
                workers.as_str(),
                lang.text("diagram.ready_when_it_answers"),
                ledger,
            ]
            .join("\n"),
        );
    }

    fn between(&self, svg: &mut Svg) {
        let lang = self.lang;
        let is_own = self.foreign.is_none();
        let middle = Type {
            anchor: Anchor::Middle,
            ..WORDS
        };
        let mut say = |y: f64, lines: &[&str]| {
            for (index, line) in lines.iter().enumerate() {
                svg.text((480.0, y + 15.0 * index as f64), middle, line);
            }
        };
        say(
            66.0,
            &[match self.foreign {
                Some(Foreign::Target(_)) => "",
                _ => lang.text("diagram.starts_it_waits"),
            }],
        );
        say(
            98.0,
            &[match is_own {
                true => lang.text("diagram.for_ready"),
                false => lang.text("diagram.until_it_answers"),
            }],
        );
        say(164.0, &["TCP"]);
        say(
            200.0,
            &[
                "LIST · GET",
                "UPLOAD · DELETE",
                lang.text("diagram.base64_in_json"),
                "CRLF CRLF",
            ],
        );
        svg.arrow(&[(404.0, 79.0), (556.0, 79.0)], FLOW);
        let both = Pen::new(Colour::Accent, 2.4);
        svg.arrow(&[(470.0, 178.0), (384.0, 178.0)], both);
        svg.arrow(&[(470.0, 178.0), (576.0, 178.0)], both);
        if is_own {
            svg.text((458.0, 372.0), WORDS, lang.text("diagram.ledger"));
            svg.text((458.0, 387.0), WORDS, "DONE");
            svg.arrow(
                &[
                    (576.0, 415.0),
                    (450.0, 415.0),
                    (450.0, 319.0),
                    (384.0, 319.0),
                ],
                FLOW,
            );
        }
    }
}

fn container(svg: &mut Svg, corner: (f64, f64), size: (f64, f64), title: &str) {
    svg.rect(
        corner,
        size,
        10.0,
        Colour::Soft,
        Some(Pen::new(Colour::Line, 1.2)),
    );
    let look = Type {
        size: 14.5,
        colour: Colour::Accent,
        ..TITLE
    };
    svg.text((corner.0 + 20.0, corner.1 + 25.0), look, title);
}

fn card(svg: &mut Svg, corner: (f64, f64), size: (f64, f64), title: &str, lines: &str) {
    svg.rect(corner, size, 6.0, Colour::Paper, Some(FRAME));
    svg.text((corner.0 + 12.0, corner.1 + 20.0), TITLE, title);
    for (index, line) in lines.lines().enumerate() {
        let y = corner.1 + 37.0 + 16.0 * index as f64;
        svg.text((corner.0 + 12.0, y), WORDS, line);
    }
}

fn worker(svg: &mut Svg, corner: (f64, f64), size: (f64, f64), name: &str, index: usize) {
    let pen = Pen::new(Colour::Series(0), 1.4);
    if name != "…" {
        svg.rect(corner, size, 5.0, Colour::Soft, Some(pen));
    }
    let look = Type {
        anchor: Anchor::Middle,
        colour: Colour::Ink,
        is_bold: index == 0,
        ..WORDS
    };
    let middle = (corner.0 + size.0 / 2.0, corner.1 + size.1 / 2.0 + 4.5);
    svg.text(middle, look, name);
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
