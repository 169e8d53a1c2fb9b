//! The architecture as a drawing: the harness on the left, the server on the right, what passes between them.

use std::collections::BTreeSet;

use stress_data::summary::csv::value;

use super::lang::Lang;
use super::svg::{Anchor, Colour, Pen, Svg, Type};
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
    let alt = lang.of(
        "Architecture: the stress harness with its client pool, the server with its parent and workers, and what passes between them",
        "Arsitektur: harness stress dengan client pool, server dengan parent dan worker, dan yang lewat di antara keduanya",
    );
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
        let (checking, checked) = self.checking();
        let title = lang.of("stress: the harness", "stress: harness pengukur");
        container(svg, (8.0, 8.0), (396.0, 456.0), title);
        card(
            svg,
            (28.0, 48.0),
            (168.0, 62.0),
            lang.of("Plan", "Rencana"),
            &[
                lang.of("every combination,", "setiap kombinasi,"),
                lang.of("in a seeded order", "urutan dari seed"),
            ],
        );
        card(
            svg,
            (216.0, 48.0),
            (168.0, 62.0),
            lang.of("Test files", "Berkas uji"),
            &[
                lang.of("made from a seed,", "dibuat dari seed,"),
                lang.of("never held in memory", "tidak ditahan di memori"),
            ],
        );
        self.client_pool(svg);
        card(
            svg,
            (28.0, 280.0),
            (168.0, 78.0),
            lang.of("Records", "Catatan"),
            &[
                lang.of("released, connected,", "dilepas, tersambung,"),
                lang.of("first byte, last byte,", "byte pertama, terakhir,"),
                lang.of("bytes, outcome", "jumlah byte, hasil"),
            ],
        );
        card(svg, (216.0, 280.0), (168.0, 78.0), checking, &checked);
        card(
            svg,
            (28.0, 384.0),
            (356.0, 62.0),
            "journal.ndjson",
            &[
                lang.of(
                    "synced before the next sample starts; every table,",
                    "disimpan ke disk sebelum sampel berikutnya; semua",
                ),
                lang.of(
                    "chart and sentence is computed from it",
                    "tabel, grafik, dan kalimat dihitung dari sini",
                ),
            ],
        );
        svg.arrow(&[(206.0, 110.0), (206.0, 132.0)], FLOW);
        svg.arrow(&[(112.0, 256.0), (112.0, 280.0)], FLOW);
        svg.arrow(&[(196.0, 319.0), (216.0, 319.0)], FLOW);
        svg.arrow(&[(300.0, 358.0), (300.0, 384.0)], FLOW);
    }

    /// What the records are held against.
    fn checking(&self) -> (&'static str, [&'static str; 3]) {
        let lang = self.lang;
        let checked = match self.has_ledger || self.foreign.is_none() {
            true => [
                lang.of("records against the", "catatan client"),
                lang.of("server's own ledger,", "dengan buku besar"),
                lang.of("row by row", "server, per baris"),
            ],
            false => [
                lang.of("there is no ledger:", "tanpa buku besar:"),
                lang.of("uploads are read back", "hasil upload dibaca"),
                lang.of("from its folder", "ulang dari foldernya"),
            ],
        };
        (lang.of("Reconciliation", "Pencocokan"), checked)
    }

    fn client_pool(&self, svg: &mut Svg) {
        let lang = self.lang;
        let title = format!("Client pool: {}", lang.workers(&self.clients));
        card(svg, (28.0, 132.0), (356.0, 124.0), &title, &[]);
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
            "process" => lang.of("processes", "proses"),
            _ => lang.of("threads", "thread"),
        });
        let kinds = pools.collect::<Vec<_>>().join(lang.of(" or ", " atau "));
        let words = [
            match lang {
                Lang::En => format!("{kinds}; a barrier releases all at once;"),
                Lang::Id => format!("{kinds}; dilepas serentak oleh barrier;"),
            },
            lang.of(
                "one connection an operation, every byte verified",
                "satu koneksi per operasi, setiap byte diperiksa",
            )
            .to_owned(),
        ];
        for (index, words) in words.iter().enumerate() {
            svg.text((44.0, 222.0 + 17.0 * index as f64), WORDS, words);
        }
    }

    fn own_server(&self, svg: &mut Svg) {
        let lang = self.lang;
        let title = lang.of(
            "prefork-server: a new one for each sample",
            "prefork-server: baru untuk tiap sampel",
        );
        container(svg, (556.0, 8.0), (396.0, 456.0), title);
        card(
            svg,
            (576.0, 48.0),
            (356.0, 62.0),
            lang.of(
                "Parent: one thread, serves nobody",
                "Parent: satu thread, tidak melayani client",
            ),
            &[
                lang.of(
                    "bind and listen, fork the pool, then watch, reap,",
                    "bind dan listen, fork pool, lalu mengawasi,",
                ),
                lang.of(
                    "replace and account for its workers",
                    "mengganti, dan mencatat worker",
                ),
            ],
        );
        self.queue_and_workers(svg);
        card(
            svg,
            (576.0, 280.0),
            (168.0, 78.0),
            lang.of("Scoreboard", "Scoreboard"),
            &[
                lang.of("shared memory: each", "memori bersama: tiap"),
                lang.of("worker counts, the", "worker mencatat,"),
                lang.of("parent adds up", "parent menjumlahkan"),
            ],
        );
        card(
            svg,
            (764.0, 280.0),
            (168.0, 78.0),
            lang.of("Files", "Berkas"),
            &[
                lang.of("an upload appears", "hasil upload muncul"),
                lang.of("whole or not at all", "utuh atau tidak"),
                lang.of("", "sama sekali"),
            ],
        );
        card(
            svg,
            (576.0, 384.0),
            (356.0, 62.0),
            "READY, DONE",
            &[
                lang.of(
                    "address and settings in force when the pool is full;",
                    "alamat dan pengaturan saat pool penuh;",
                ),
                lang.of(
                    "the ledger when the server has stopped",
                    "buku besar setelah server berhenti",
                ),
            ],
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
            lang.of("Queue", "Antrean"),
            &[
                lang.of("the kernel's:", "milik kernel:"),
                lang.of("connections", "koneksi"),
                lang.of("waiting to", "menunggu"),
                lang.of("be accepted", "diterima"),
            ],
        );
        svg.arrow(&[(668.0, 178.0), (690.0, 178.0)], FLOW);
        let title = format!("Pool: {}", lang.workers(&self.servers));
        card(svg, (690.0, 132.0), (242.0, 124.0), &title, &[]);
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
            "process" => lang.of(
                "process: forked, one client each",
                "process: hasil fork, satu client",
            ),
            "thread" => lang.of(
                "thread: all in one forked process",
                "thread: dalam satu proses fork",
            ),
            "event" => lang.of(
                "event: many clients a worker",
                "event: banyak client per worker",
            ),
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
                lang.of(
                    "A foreign server, by --server-cmd",
                    "Server lain, lewat --server-cmd",
                ),
                lang.of("Command", "Perintah"),
            ),
            Foreign::Target(_) => (
                lang.of(
                    "A server that ran already, by --target",
                    "Server yang sudah berjalan, --target",
                ),
                lang.of("Address", "Alamat"),
            ),
        };
        container(svg, (556.0, 8.0), (396.0, 456.0), title);
        let lines = wrapped(server.words(), 52);
        let lines: Vec<&str> = lines.iter().map(String::as_str).take(6).collect();
        card(svg, (576.0, 48.0), (356.0, 140.0), how, &lines);
        let workers = match lang {
            Lang::En => format!("workers, as it was said: {}", self.servers),
            Lang::Id => format!("worker, menurut pemakai: {}", self.servers),
        };
        let ledger = match self.has_ledger {
            true => lang.of(
                "its ledger, by its admin socket",
                "buku besarnya, lewat soket admin",
            ),
            false => lang.of(
                "it has no ledger: its columns stay empty",
                "tanpa buku besar: kolomnya kosong",
            ),
        };
        card(
            svg,
            (576.0, 212.0),
            (356.0, 78.0),
            lang.of("What is known of it", "Yang diketahui"),
            &[
                workers.as_str(),
                lang.of(
                    "it is ready when it takes a connection",
                    "siap bila menerima koneksi",
                ),
                ledger,
            ],
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
                _ => lang.of("starts it, waits", "menjalankan,"),
            }],
        );
        say(
            98.0,
            &[match is_own {
                true => lang.of("for READY", "menunggu READY"),
                false => lang.of("until it answers", "menunggu koneksi"),
            }],
        );
        say(164.0, &["TCP"]);
        say(
            200.0,
            &[
                "LIST · GET",
                "UPLOAD · DELETE",
                "base64 in JSON,",
                "CRLF CRLF",
            ]
            .map(|line| {
                if line == "base64 in JSON," {
                    lang.of(line, "base64 dalam JSON,")
                } else {
                    line
                }
            }),
        );
        svg.arrow(&[(404.0, 79.0), (556.0, 79.0)], FLOW);
        let both = Pen::new(Colour::Accent, 2.4);
        svg.arrow(&[(470.0, 178.0), (384.0, 178.0)], both);
        svg.arrow(&[(470.0, 178.0), (576.0, 178.0)], both);
        if is_own {
            svg.text((458.0, 372.0), WORDS, lang.of("the ledger,", "buku besar,"));
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

fn card(svg: &mut Svg, corner: (f64, f64), size: (f64, f64), title: &str, lines: &[&str]) {
    svg.rect(corner, size, 6.0, Colour::Paper, Some(FRAME));
    svg.text((corner.0 + 12.0, corner.1 + 20.0), TITLE, title);
    for (index, line) in lines.iter().enumerate() {
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
