//! Where the time of an operation went: connecting, waiting for the first byte, and the rest.

use std::collections::BTreeMap;

use stress_data::journal::Contents;
use stress_data::record::{Outcome, Record};

/// The mean operation of a cell in its three parts, nanoseconds. Means, because only means add up to the whole.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Parts {
    /// From its start (the release, or the end of the one before it) to the established connection.
    pub(super) connect_ns: f64,
    /// From there to the first byte of the reply.
    pub(super) wait_ns: f64,
    /// From there to the last byte of the reply.
    pub(super) rest_ns: f64,
}

impl Parts {
    /// The parts of the verified operations in all samples of the cell `number`; none if there are none.
    pub(super) fn of(contents: &Contents, number: u32) -> Option<Self> {
        let samples = contents.samples.range((number, 0)..=(number, u32::MAX));
        let operations: Vec<Self> = samples
            .flat_map(|(_, sample)| operations(&sample.measurement.records))
            .collect();
        let mean = |pick: fn(&Self) -> f64| {
            operations.iter().map(pick).sum::<f64>() / operations.len() as f64
        };
        (!operations.is_empty()).then(|| Self {
            connect_ns: mean(|parts| parts.connect_ns),
            wait_ns: mean(|parts| parts.wait_ns),
            rest_ns: mean(|parts| parts.rest_ns),
        })
    }

    /// All of it.
    pub(super) fn total_ns(&self) -> f64 {
        self.connect_ns + self.wait_ns + self.rest_ns
    }

    /// How much of it passed before the first byte of the reply.
    pub(super) fn share_before_first_byte(&self) -> f64 {
        match self.total_ns() {
            0.0 => 0.0,
            total => (self.connect_ns + self.wait_ns) / total,
        }
    }
}

fn operations(records: &[Record]) -> Vec<Parts> {
    let mut by_client: BTreeMap<u32, Vec<&Record>> = BTreeMap::new();
    for record in records {
        by_client.entry(record.client).or_default().push(record);
    }
    let mut found = Vec::new();
    for mut records in by_client.into_values() {
        records.sort_by_key(|record| record.request);
        let mut start = records.first().map(|record| record.released_ns);
        for record in records {
            let is_ok = record.outcome == Outcome::Ok;
            found.extend(
                start
                    .filter(|_| is_ok)
                    .and_then(|start| parts(record, start)),
            );
            start = record.ended_ns;
        }
    }
    found
}

fn parts(record: &Record, start: u64) -> Option<Parts> {
    let (connected, first, end) = (
        record.connected_ns?,
        record.first_byte_ns?,
        record.ended_ns?,
    );
    Some(Parts {
        connect_ns: connected.checked_sub(start)? as f64,
        wait_ns: first.checked_sub(connected)? as f64,
        rest_ns: end.checked_sub(first)? as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(request: u32, times: [u64; 3], outcome: Outcome) -> Record {
        Record {
            released_ns: 100,
            connected_ns: Some(times[0]),
            first_byte_ns: Some(times[1]),
            ended_ns: Some(times[2]),
            outcome,
            ..Record::not_sent(0, request)
        }
    }

    #[test]
    fn each_operation_of_a_client_starts_where_the_one_before_it_ended() {
        let records = [
            record(1, [210, 230, 260], Outcome::Ok),
            record(0, [110, 140, 200], Outcome::Ok),
            record(2, [270, 280, 300], Outcome::Reset),
        ];
        let found = operations(&records);
        let want = |connect_ns, wait_ns, rest_ns| Parts {
            connect_ns,
            wait_ns,
            rest_ns,
        };
        assert_eq!(found, [want(10.0, 30.0, 60.0), want(10.0, 20.0, 30.0)]);
        assert_eq!(found[0].total_ns(), 100.0);
        assert!((found[0].share_before_first_byte() - 0.4).abs() < 1e-9);
    }
}
