//! One figure of each sample of a cell, for comparing cells with each other.

use std::collections::BTreeMap;

use super::figures::Figures;
use crate::fault::Fault;
use crate::journal::Contents;
use crate::measurement::Status;

words! {
    /// What can be compared: figures that every sample has one of.
    #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
    pub enum Metric {
        /// From the barrier's release to a client's last byte, mean over the clients that succeeded.
        TimePerClientS = "time_per_client_s",
        /// Verified bytes of a client over that.
        ThroughputPerClientBytesPerS = "throughput_per_client_bytes_per_s",
        /// When the first client finished.
        FirstDoneS = "first_done_s",
        /// When the last client finished.
        MakespanS = "makespan_s",
        /// All verified bytes over the makespan.
        AggregateBytesPerS = "aggregate_bytes_per_s",
        /// Median over operations, from their start to the first byte of the reply.
        FirstByteMedianS = "first_byte_median_s",
        /// CPU time of the server's workers.
        ServerCpuS = "server_cpu_s",
        /// CPU time of the clients.
        ClientCpuS = "client_cpu_s",
        /// The most memory of a server process.
        ServerPeakRssBytes = "server_peak_rss_bytes",
    }
}

impl Metric {
    /// Whether more of it is better.
    #[must_use]
    pub const fn is_better_high(self) -> bool {
        matches!(
            self,
            Self::ThroughputPerClientBytesPerS | Self::AggregateBytesPerS
        )
    }

    /// Whether `ratio` times as much of it is to the bad.
    pub(crate) fn is_worse(self, ratio: f64) -> bool {
        (ratio > 1.0) != self.is_better_high()
    }

    /// Whether it is a time, in nanoseconds, rather than bytes or bytes per second.
    #[must_use]
    pub const fn is_time(self) -> bool {
        !matches!(
            self,
            Self::ThroughputPerClientBytesPerS
                | Self::AggregateBytesPerS
                | Self::ServerPeakRssBytes
        )
    }

    /// The figure of every sample of the cell `number` that is ok, by its repeat: nanoseconds, bytes or bytes per second.
    /// What failed in part is not comparable with what did not, unless it was made to fail.
    #[must_use]
    pub fn by_repeat(self, contents: &Contents, number: u32) -> BTreeMap<u32, u64> {
        let settings = &contents.header.fingerprint.settings;
        let samples = contents.samples_of(number);
        let figures = samples.map(|sample| Figures::new(sample, settings));
        let is_killed =
            |figures: &Figures<'_>| figures.sample.measurement.cell.fault == Fault::KillWorker;
        let is_wanted = |figures: &Figures<'_>| match figures.status {
            Status::Ok => true,
            Status::Failed => is_killed(figures) && figures.is_only_cut(),
            _ => false,
        };
        figures
            .filter(is_wanted)
            .filter_map(|it| Some((it.sample.measurement.repeat, self.of(&it)?)))
            .collect()
    }

    /// The same of the cells `one` and `other`, of each round in which both have it.
    #[must_use]
    pub fn pairs(self, contents: &Contents, one: u32, other: u32) -> Vec<(u64, u64)> {
        let other = self.by_repeat(contents, other);
        paired(&self.by_repeat(contents, one), &other)
    }

    /// The same, in the order of the repeats.
    #[must_use]
    pub fn values(self, contents: &Contents, number: u32) -> Vec<u64> {
        self.by_repeat(contents, number).into_values().collect()
    }

    fn of(self, figures: &Figures<'_>) -> Option<u64> {
        match self {
            Self::TimePerClientS => figures.time_ns,
            Self::ThroughputPerClientBytesPerS => figures.throughput_bytes_per_s(),
            Self::FirstDoneS => figures.first_done_ns,
            Self::MakespanS => figures.makespan_ns,
            Self::AggregateBytesPerS => figures.aggregate_bytes_per_s,
            Self::FirstByteMedianS => figures.first_byte_ns,
            Self::ServerCpuS => figures.server_cpu_ns,
            Self::ClientCpuS => figures.client_cpu_ns,
            Self::ServerPeakRssBytes => figures.server_peak_rss_bytes,
        }
    }
}

/// What both have of one repeat.
pub(crate) fn paired(one: &BTreeMap<u32, u64>, other: &BTreeMap<u32, u64>) -> Vec<(u64, u64)> {
    let rounds = one.iter();
    let pair = |(repeat, one): (&u32, &u64)| Some((*one, *other.get(repeat)?));
    rounds.filter_map(pair).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::summary::csv;

    #[test]
    fn every_metric_is_a_column_of_the_table_under_the_same_name() {
        for metric in Metric::ALL {
            assert!(csv::columns().any(|column| column == metric.as_str()));
        }
    }
}
