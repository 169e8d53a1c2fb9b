//! The edges of a sample's window, against its records, and against what a machine can do meanwhile. Pure.

use crate::edges::{Edge, Edges};
use crate::journal::Sample;
use crate::machine::Machine;
use crate::measurement::{ServerChoice, Settings};

/// Everything about the edges of a sample that cannot be.
pub(super) fn problems(sample: &Sample, settings: &Settings, machine: &Machine) -> Vec<String> {
    let Some(edges) = &sample.measurement.edges else {
        return Vec::new();
    };
    let mut problems = place_problems(sample, edges);
    problems.extend(growth_problems(edges));
    let free = [edges.before, edges.after].map(|edge| edge.memory.map(|memory| memory.free_bytes));
    let most = free.into_iter().flatten().max().unwrap_or(0);
    if machine.memory_bytes > 0 && most > machine.memory_bytes {
        let all = machine.memory_bytes;
        problems.push(format!(
            "at an edge of its window {most} bytes of memory were free, and the machine has {all}"
        ));
    }
    // The user may have let a foreign server use more processors than the harness.
    if settings.server == ServerChoice::Own {
        let server_us = edges.server().map_or(0, |used| used.cpu_us);
        let client_us = sample.measurement.client_cpu_us.unwrap_or(0);
        let possible_us = edges.capacity_us(machine.cores);
        if server_us + client_us > possible_us {
            problems.push(format!(
                "between the edges of its window server and clients used {server_us} and {client_us} µs of CPU time, and the processors could give {possible_us}"
            ));
        }
    }
    problems
}

/// The window lies between its edges, and these within the sample.
fn place_problems(sample: &Sample, edges: &Edges) -> Vec<String> {
    let records = &sample.measurement.records;
    let released = records.iter().map(|record| record.released_ns).min();
    let ended = records.iter().filter_map(|record| record.ended_ns).max();
    let span = edges.span().as_nanos();
    let found = [
        (
            released < Some(edges.before.at_ns),
            "its clients were released before the edge before its window",
        ),
        (
            ended > Some(edges.after.at_ns),
            "an operation ended after the edge after its window",
        ),
        (
            edges.after.at_ns < edges.before.at_ns,
            "the edges of its window are in another order",
        ),
        (
            sample.wall_ns.is_some_and(|wall| u128::from(wall) < span),
            "the edges of its window are further apart than the sample is long",
        ),
    ];
    let found = found.into_iter().filter(|(is_wrong, _)| *is_wrong);
    found.map(|(_, what)| what.to_owned()).collect()
}

/// What the kernel counts since boot does not go back. (What processes of a server have used does, when one ends.)
fn growth_problems(edges: &Edges) -> Vec<String> {
    type Of = fn(&Edge) -> Option<u64>;
    let counted: [(&str, Of); 6] = [
        ("ticks", |it| Some(it.ticks?.total)),
        ("ticks of processes", |it| Some(it.ticks?.processes)),
        ("the harness's CPU time", |it| Some(it.harness_cpu_us)),
        ("waiting for processors", |it| Some(it.pressure?.cpu_us)),
        ("waiting for disks", |it| Some(it.pressure?.io_us)),
        ("waiting for memory", |it| Some(it.pressure?.memory_us)),
    ];
    let went_back = counted.into_iter().filter(|(_, of)| {
        let both = of(&edges.before).zip(of(&edges.after));
        both.is_some_and(|(before, after)| after < before)
    });
    went_back
        .map(|(what, _)| format!("{what}: less after its window than before"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::edges::{Memory, Pressure, ServerUse, Ticks};
    use crate::measurement::{Measurement, Status};
    use crate::record::{Outcome, Record};
    use crate::testing;

    /// A window of 100 ms, in the middle of its edges; two processors.
    fn sample() -> Sample {
        let edge = |at_ms: u64, used: u64| Edge {
            at_ns: at_ms * 1_000_000,
            harness_cpu_us: used,
            ticks: Some(Ticks {
                total: 1_000 + used / 5_000,
                processes: used / 5_000,
            }),
            memory: Some(Memory {
                free_bytes: 9_000,
                dirty_bytes: 0,
                writeback_bytes: 0,
            }),
            pressure: Some(Pressure {
                cpu_us: used,
                io_us: used,
                memory_us: used,
            }),
            server: Some(ServerUse {
                processes: 2,
                cpu_us: used,
                ..ServerUse::default()
            }),
        };
        let record = Record {
            released_ns: 1_000_000_000,
            ended_ns: Some(1_100_000_000),
            outcome: Outcome::Ok,
            ..Record::not_sent(0, 0)
        };
        let contents = testing::contents(&crate::matrix::Selection::default(), 1);
        Sample {
            session: 0,
            is_warmup: false,
            cpu: None,
            wall_ns: Some(500_000_000),
            measurement: Measurement {
                records: vec![record],
                edges: Some(Edges {
                    before: edge(999, 0),
                    after: edge(1_101, 100_000),
                }),
                client_cpu_us: Some(80_000),
                ..testing::measurement(&contents, 0, 0, Status::Ok)
            },
        }
    }

    fn found(change: impl FnOnce(&mut Sample)) -> Vec<String> {
        let machine = Machine {
            cpu_model: "a".into(),
            cores: 2,
            memory_bytes: 10_000,
            kernel: "b".into(),
        };
        let mut sample = sample();
        change(&mut sample);
        problems(&sample, &testing::settings(), &machine)
    }

    #[test]
    fn what_cannot_be_at_an_edge_is_found() {
        assert_eq!(found(|_| ()), [""; 0]);
        assert_eq!(found(|it| it.measurement.edges = None), [""; 0]);
        fn edges(sample: &mut Sample) -> &mut Edges {
            sample.measurement.edges.as_mut().unwrap()
        }
        let check = |words: &str, change: fn(&mut Sample)| {
            let found = found(change);
            assert!(
                found.len() == 1 && found[0].contains(words),
                "{words}: {found:?}"
            );
        };
        check("released before the edge", |it| {
            edges(it).before.at_ns += 2_000_000;
        });
        check("ended after the edge", |it| {
            edges(it).after.at_ns -= 2_000_000;
        });
        check("than the sample is long", |it| {
            it.wall_ns = Some(101_000_000);
        });
        check("ticks: less", |it| {
            edges(it).after.ticks.as_mut().unwrap().total = 999;
        });
        check("disks: less", |it| {
            edges(it).before.pressure.as_mut().unwrap().io_us = 100_001;
        });
        check("10001 bytes", |it| {
            edges(it).after.memory.as_mut().unwrap().free_bytes = 10_001;
            edges(it).before.memory = None;
        });
    }

    #[test]
    fn nobody_uses_more_than_the_processors_can_give() {
        // 102 ms on two processors, and 80 ms that counting in ticks may add.
        let with = |server_us: u64| {
            found(move |it| {
                let edges = it.measurement.edges.as_mut().unwrap();
                edges.after.server.as_mut().unwrap().cpu_us = server_us;
            })
        };
        assert_eq!(with(204_000), [""; 0]);
        let found = with(204_001);
        assert!(found[0].contains("used 204001 and 80000 µs"), "{found:?}");
        // As long as it is ours, which has the harness's processors.
        let mut foreign = testing::settings();
        foreign.server = testing::foreign("a");
        let machine = Machine {
            cpu_model: "a".into(),
            cores: 2,
            memory_bytes: 0,
            kernel: "b".into(),
        };
        let mut sample = sample();
        let edges = sample.measurement.edges.as_mut().unwrap();
        edges.after.server.as_mut().unwrap().cpu_us = 900_000;
        assert_eq!(problems(&sample, &foreign, &machine), [""; 0]);
    }
}
