//! HUP, TTIN, TTOU: other settings and other sizes for a server that goes on running.

use screen::counted;

use super::{Flow, Supervisor, policy};
use crate::config::{Config, PoolKind, WORKERS_MAX};
use crate::pool::descriptors;
use crate::shared::report::ProcessId;
use crate::supervisor::roster::Event;
use crate::supervisor::watchdog::Watchdog;

impl Supervisor {
    /// Reads the settings again, and replaces the workers one by one by workers that have them. Settings that are
    /// wrong, or that a running server cannot change, change nothing.
    pub(super) fn reload(&mut self) -> Flow {
        if self.is_on_its_way_out() {
            match self.pass_reload_on() {
                true => tracing::info!("the new server is told to reload"),
                false => tracing::warn!("not reloading: the server is on its way out"),
            }
            return Ok(());
        }
        let config = match (self.reread)() {
            Ok(config) => config,
            Err(error) => {
                // A TOML error shows the file's line in lines of its own; a log has one for each event.
                let lines: Vec<&str> = error.lines().map(str::trim).collect();
                tracing::error!("nothing is reloaded: {}", lines.join(" ").trim_end());
                return Ok(());
            }
        };
        let fixed = self.inheritance.config.fixed_differences(&config);
        if !fixed.is_empty() {
            tracing::error!(
                settings = fixed.join(" "),
                "nothing is reloaded: a running server cannot change these; start it anew"
            );
            return Ok(());
        }
        if let Some(refusal) = self.beyond_the_count(&config) {
            tracing::error!("nothing is reloaded: {refusal}");
            return Ok(());
        }
        if !config.read_only
            && let Err(error) = self.inheritance.service.store.lock_for_writing()
        {
            tracing::error!("nothing is reloaded: {error}");
            return Ok(());
        }
        self.look_at_the_root();
        tracing::info!("reloading: the workers are being replaced one by one");
        self.pass_reload_on();
        self.telling.notices.reloading();
        let before = self.adopt(config);
        self.replaced_config.get_or_insert(before);
        self.roll()
    }

    /// A folder that was put in the place of the root is not served: the root is opened once.
    fn look_at_the_root(&self) {
        let path = self.inheritance.config.root.display();
        match self
            .inheritance
            .service
            .store
            .is_at(&self.inheritance.config.root)
        {
            Ok(false) => tracing::warn!(
                "--root {path} is another folder now: this server goes on serving the one it opened; restart it to serve \
                 the new one"
            ),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => tracing::warn!(
                "--root {path} is gone: this server goes on serving the folder it opened; restart it once there is one"
            ),
            // The server's user may not be allowed to look.
            Ok(true) | Err(_) => {}
        }
    }

    /// Why connections could not be counted by their addresses under other settings, if they could not: what they
    /// are counted in keeps its size.
    fn beyond_the_count(&self, config: &Config) -> Option<String> {
        config.max_connections_per_address?;
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
            "{flag} with --max-connections-per-address: this server counts the addresses of {} of a worker; start it \
             anew for more",
            counted(cells as u64, "connection")
        ))
    }

    /// Every worker has the new settings.
    pub(super) fn reloaded(&mut self) {
        self.replaced_config = None;
        self.telling.notices.ready();
        tracing::info!(workers = self.inheritance.config.workers, "reloaded");
    }

    /// The new settings do not make a worker that serves: back to the old ones.
    pub(super) fn reload_failed(&mut self) {
        tracing::error!("nothing is reloaded: a worker with the new settings never became ready");
        self.telling.notices.ready();
        if let Some(before) = self.replaced_config.take() {
            self.adopt(before);
        }
    }

    /// Says who is waited for.
    pub(super) fn hurry(&self, id: ProcessId) {
        if let Some(member) = self.members.get(id) {
            tracing::warn!(
                worker = id.seat,
                pid = %member.pid,
                drain_timeout = %humantime::format_duration(self.inheritance.config.drain_timeout),
                "too many replaced workers still finish what they have in hand: the next one waits for this worker, \
                 which is cut after --drain-timeout"
            );
        }
    }

    /// One worker more, or one less.
    pub(super) fn resize_by(&mut self, difference: i32) -> Flow {
        let workers = self
            .inheritance
            .config
            .workers
            .saturating_add_signed(difference);
        if self.is_on_its_way_out() || workers == 0 || workers > WORKERS_MAX {
            tracing::warn!(
                workers = self.inheritance.config.workers,
                "the pool keeps its size"
            );
            return Ok(());
        }
        tracing::info!(workers, "the pool changes its size");
        let before = self.adopt(self.inheritance.config.clone().resized(workers));
        match self.inheritance.config.pool {
            // All threads are in one process, which is replaced by one that has as many as are wanted.
            PoolKind::Thread => {
                self.replaced_config.get_or_insert(before);
                self.roll()
            }
            PoolKind::Process | PoolKind::Event => {
                // A reload that is under way and fails does not take this back.
                if let Some(replaced) = &mut self.replaced_config {
                    *replaced = replaced.clone().resized(workers);
                }
                self.tell_roster(Event::Resize(workers))
            }
        }
    }

    /// Replaces the processes that have other settings than those just adopted.
    fn roll(&mut self) -> Flow {
        let size = self.inheritance.processes();
        self.tell_roster(Event::Roll { size })
    }

    /// From the next fork on these are the settings; says which they were.
    fn adopt(&mut self, config: Config) -> Config {
        let inheritance = &mut self.inheritance;
        inheritance.service.limits = config.limits();
        inheritance.service.store = inheritance
            .service
            .store
            .with_options(super::start::options(&config));
        match descriptors::make_room(&config, inheritance.cache.is_some()) {
            Ok(event_connections) => inheritance.event_connections = event_connections,
            Err(shortage) => tracing::error!("{shortage}"),
        }
        // What is off by default with --read-only.
        if config.read_only && config.encoded_cache.is_none() {
            self.close_cache();
        }
        self.roster.set_policy(policy(&config));
        self.watchdog = Watchdog::new(config.worker_timeout, self.started.elapsed());
        std::mem::replace(&mut self.inheritance.config, config)
    }
}
