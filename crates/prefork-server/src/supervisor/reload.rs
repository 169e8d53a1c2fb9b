//! HUP, TTIN, TTOU: other settings and other sizes for a server that goes on running.

use anyhow::Result;

use super::{Flow, Supervisor, policy};
use crate::config::{Config, PoolKind, WORKERS_MAX};
use crate::pool::descriptors;
use crate::pool::roster::Event;
use crate::pool::watchdog::Watchdog;

impl Supervisor {
    /// Reads the settings again, and replaces the workers one by one by such as have them. Settings that are
    /// wrong, or that a running server cannot change, change nothing.
    pub(super) fn reload(&mut self) -> Result<Flow> {
        if self.is_on_its_way_out() {
            tracing::warn!("not reloading: the server is on its way out");
            return Ok(Flow::GoOn);
        }
        let config = match self.source.config() {
            Ok(config) => config,
            Err(error) => {
                // A TOML error shows the file's line in lines of its own; a log has one for each event.
                let lines: Vec<&str> = error.lines().map(str::trim).collect();
                tracing::error!("nothing is reloaded: {}", lines.join(" ").trim_end());
                return Ok(Flow::GoOn);
            }
        };
        let fixed = self.config.fixed_differences(&config);
        if !fixed.is_empty() {
            tracing::error!(
                settings = fixed.join(" "),
                "nothing is reloaded: a running server cannot change these; start it anew"
            );
            return Ok(Flow::GoOn);
        }
        if let Some(refusal) = self.beyond_the_count(&config) {
            tracing::error!("nothing is reloaded: {refusal}");
            return Ok(Flow::GoOn);
        }
        if !config.read_only
            && let Err(error) = self.inheritance.service.store.lock_for_writing()
        {
            tracing::error!("nothing is reloaded: {error}");
            return Ok(Flow::GoOn);
        }
        tracing::info!("reloading: the workers are being replaced one by one");
        self.telling.notices.reloading();
        let before = self.adopt(config);
        self.replaced_config.get_or_insert(before);
        self.resize_then(Event::Roll)
    }

    /// Why connections could not be counted by their addresses under other settings, if they could not: what they
    /// are counted in keeps its size.
    fn beyond_the_count(&self, config: &Config) -> Option<String> {
        config.connections_per_address_max?;
        let cells = match config.pool {
            PoolKind::Process | PoolKind::Event => self.inheritance.holdings.cells(),
            // All threads are in one row, which has room for as many as there may be.
            PoolKind::Thread => self.inheritance.holdings.cells() / WORKERS_MAX as usize,
        };
        if config.connections_each() as usize <= cells {
            return None;
        }
        let flag = match (config.event_connections, config.set_aside) {
            (Some(n), _) => format!("--event-connections {n}"),
            (None, n) => format!("--set-aside {}", n.unwrap_or(0)),
        };
        Some(format!(
            "{flag} with --max-connections-per-address: this server counts the addresses of {cells} connections of \
             a worker; start it anew for more"
        ))
    }

    /// Every worker has the new settings.
    pub(super) fn reloaded(&mut self) {
        self.replaced_config = None;
        self.telling.notices.ready();
        tracing::info!(workers = self.config.workers, "reloaded");
    }

    /// The new settings do not make a worker that serves: back to the old ones.
    pub(super) fn reload_failed(&mut self) -> Result<Flow> {
        tracing::error!("nothing is reloaded: a worker with the new settings never became ready");
        self.telling.notices.ready();
        if let Some(before) = self.replaced_config.take() {
            self.adopt(before);
            return self.resize_then(Event::Tick);
        }
        Ok(Flow::GoOn)
    }

    /// One worker more, or one less.
    pub(super) fn resize_by(&mut self, difference: i32) -> Result<Flow> {
        let workers = self.config.workers.saturating_add_signed(difference);
        if self.is_on_its_way_out() || workers == 0 || workers > WORKERS_MAX {
            tracing::warn!(workers = self.config.workers, "the pool keeps its size");
            return Ok(Flow::GoOn);
        }
        tracing::info!(workers, "the pool changes its size");
        let before = self.adopt(Config {
            workers,
            ..self.config.clone()
        });
        match self.config.pool {
            // All threads are in one process, which is replaced by one that has as many as are wanted.
            PoolKind::Thread => {
                self.replaced_config.get_or_insert(before);
                self.tell_roster(Event::Roll)
            }
            PoolKind::Process | PoolKind::Event => self.tell_roster(Event::Resize(workers)),
        }
    }

    fn resize_then(&mut self, event: Event) -> Result<Flow> {
        if let Flow::Leave(exit) = self.tell_roster(Event::Resize(self.inheritance.processes()))? {
            return Ok(Flow::Leave(exit));
        }
        self.tell_roster(event)
    }

    /// From the next fork on these are the settings; says which they were.
    fn adopt(&mut self, config: Config) -> Config {
        let inheritance = &mut self.inheritance;
        inheritance.service.limits = config.limits;
        inheritance.service.store = inheritance
            .service
            .store
            .with_options(super::start::options(&config));
        inheritance.clocks = config.clocks;
        inheritance.workers = config.workers;
        inheritance.connections_per_address_max = config.connections_per_address_max;
        inheritance.max_requests = config.max_requests;
        inheritance.set_aside = config.set_aside;
        match descriptors::make_room(&config) {
            Ok(event_connections) => inheritance.event_connections = event_connections,
            Err(shortage) => tracing::error!("{shortage}"),
        }
        self.roster.set_policy(policy(&config));
        self.watchdog = Watchdog::new(config.worker_timeout, self.started.elapsed());
        std::mem::replace(&mut self.config, config)
    }
}
