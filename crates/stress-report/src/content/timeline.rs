//! Timelines: who waited when, and what each server worker did meanwhile.

use stress_data::journal::Timeline;
use stress_data::run::Run;
use stress_data::size;

use super::View;
use crate::chart::timeline::{self, legend};
use crate::document::{Block, Picture, Pictures, Section, Text};
use crate::lanes::{Kind, Lane, Lanes};
use crate::nine;
use crate::texts::{count, say};

impl View<'_> {
    /// None if no row was drawn.
    pub(super) fn timelines(&self) -> Option<Section> {
        let lang = self.lang;
        let mut blocks = Vec::new();
        for run in self.runs {
            if let Some(pictures) = self.timelines_of(run) {
                blocks.extend(self.run_heading(run));
                blocks.push(Block::Pictures(pictures));
            }
        }
        (!blocks.is_empty()).then(|| Section::new("timeline", lang.text("timeline.title"), blocks))
    }

    fn timelines_of(&self, run: &Run) -> Option<Pictures> {
        let lang = self.lang;
        let drawn = run.contents.timelines.iter();
        let drawn = drawn.filter_map(|it| Some((it, Lanes::of(it)?)));
        let mut drawn: Vec<(&Timeline, Lanes)> = drawn.collect();
        drawn.sort_by_key(|(it, _)| it.sample.measurement.cell.number);
        let lanes = || {
            let both = drawn.iter().map(|(_, lanes)| lanes);
            both.flat_map(|it| it.clients.iter().chain(&it.workers))
        };
        let is_there = |kind| lanes().any(|lane| lane.total_ns(kind) > 0);
        let workers = match is_there(Kind::Serving) {
            true => "timeline.with_workers",
            false => "timeline.without_workers",
        };
        let caption = format!("{} {}", lang.text("timeline.caption"), lang.text(workers));
        let pictures = drawn.iter().map(|(it, lanes)| self.timeline(it, lanes));
        (!drawn.is_empty()).then(|| Pictures {
            title: lang.text("timeline.of_rows").into(),
            caption: Text::marked(&caption),
            legend: legend(is_there, lang),
            pictures: pictures.collect(),
            is_wide: true,
        })
    }

    fn timeline(&self, timeline: &Timeline, lanes: &Lanes) -> Picture {
        let lang = self.lang;
        let cell = &timeline.sample.measurement.cell;
        let (operation, volume) = (nine::operation(cell.operation), size::format(cell.volume));
        let clients = count!(lang, "findings.clients", cell.clients);
        let servers = count!(lang, "findings.server_workers", cell.servers);
        let number = match &cell.subject {
            None => lang.int(cell.number),
            Some(name) => format!("{}, {name}", lang.int(cell.number)),
        };
        let title = say!(
            lang,
            "timeline.row",
            operation,
            volume,
            clients,
            servers,
            number
        );
        let sentences = self.sentences(lanes, &clients);
        let drawing = timeline::Timeline {
            lanes,
            alt: format!("{title}: {sentences}"),
            lang,
        };
        Picture {
            chart: drawing.draw(),
            title,
            sentences: Text::plain(sentences),
        }
    }

    /// How many were served at once, and who waited longest.
    fn sentences(&self, lanes: &Lanes, clients: &str) -> String {
        let lang = self.lang;
        let most = lang.int(lanes.most_at_once());
        let served = match lanes.workers.is_empty() {
            true => say!(lang, "timeline.moving_at_once", most, clients),
            false => say!(lang, "timeline.served_at_once", most, clients),
        };
        let wait_ns = |lane: &&Lane| lane.total_ns(Kind::Waiting);
        let Some(last) = lanes.clients.iter().max_by_key(wait_ns) else {
            return served;
        };
        let [wait, time] = [wait_ns(&last), last.spans.last().map_or(0, |it| it.to_ns)]
            .map(|ns| lang.time(std::time::Duration::from_nanos(ns)));
        let number = lang.int(last.number);
        format!(
            "{served} {}",
            say!(lang, "timeline.waited", number, wait, time)
        )
    }
}
