//! What there is to say about a row, a sentence a fact. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use proto::announce::Done;
use stress_data::edges::ServerUse;
use stress_data::journal::{Contents, Sample};
use stress_data::machine::CpuTicks;
use stress_data::matrix::{Cell, ClientPool, Operation};
use stress_data::measurement::{Measurement, Status};
use stress_data::record::{Outcome, Record, longest_pause};
use stress_data::size::{self, counted, counted_as, rate_text, with_commas};
use stress_data::summary::csv::format_seconds;
use stress_data::summary::statistics::{Spread, median, rate};
use stress_data::summary::{Brief, Row};

use crate::parts::{Part, Parts};

/// Everything that is known about `row`, with `sample` as the one that is looked into.
pub(super) fn of(contents: &Contents, row: &Row, sample: Option<&Sample>) -> Vec<String> {
    let mut said = vec![what(row), how_often(contents, row)];
    if let Some(sample) = sample {
        let measurement = &sample.measurement;
        let parts = Parts::of(std::iter::once(sample));
        let cores = contents.header.fingerprint.machine.cores;
        said.extend(looked_into(row, measurement));
        said.extend(clients(measurement));
        said.extend(pause(measurement));
        if let Some(parts) = &parts {
            said.push(split(&measurement.cell, parts));
            said.extend(queueing(&measurement.cell, parts));
        }
        said.extend(ceiling(row));
        said.extend(fault(measurement));
        said.extend(processors(sample, cores));
        said.extend(workers(measurement));
        said.extend(whole_sample(sample));
        said.extend(failures(measurement));
    }
    let flags = row.flags.iter();
    said.extend(flags.map(|flag| format!("Flag {}: {}.", flag.as_str(), flag.meaning())));
    let notes = row.notes.iter();
    said.extend(notes.map(|note| format!("Noted: {note}")));
    said
}

fn seconds(time: Duration) -> String {
    match time {
        time if time < Duration::from_millis(1) => format!("{} µs", time.as_nanos().div_ceil(1000)),
        time if time < Duration::from_secs(1) => {
            format!("{:.1} ms", time.as_secs_f64() * 1_000.0)
        }
        time => format!("{} s", format_seconds(time, 3)),
    }
}

fn nanoseconds(ns: u64) -> String {
    seconds(Duration::from_nanos(ns))
}

fn what(row: &Row) -> String {
    let Cell {
        operation,
        volume,
        clients,
        servers,
        client_pool,
        server_pool,
        ..
    } = row.cell;
    let (whose, worker) = match row.is_own_server {
        true => ("our", format!("{} worker", server_pool.as_str())),
        false => ("a foreign", "worker".into()),
    };
    let workers = counted(servers.into(), &worker);
    let subject = row.cell.subject.as_ref();
    let subject = subject.map_or_else(String::new, |name| format!(" (subject {name})"));
    let server = format!("{whose} server with {workers}{subject}");
    let volume = format!("{} ({})", size::format(volume), counted(volume, "byte"));
    let (one, many) = match client_pool {
        ClientPool::Thread => ("client thread", "client threads"),
        ClientPool::Process => ("client process", "client processes"),
    };
    let who = match clients {
        1 => counted_as(1, one, many),
        _ => format!("Each of {}", counted_as(clients.into(), one, many)),
    };
    match operation {
        Operation::Download => format!("{who} downloads {volume} from {server}."),
        Operation::Upload => format!("{who} uploads {volume} to {server}."),
        Operation::List => format!("{who} lists a folder of {volume} on {server}."),
    }
}

fn how_often(contents: &Contents, row: &Row) -> String {
    let (samples, repeats, status) = (row.samples, row.repeats, row.status.as_str());
    if samples == 0 {
        return format!("It was not measured: its status is {status}.");
    }
    let settings = &contents.header.fingerprint.settings;
    let each: Vec<String> = contents
        .samples_of(row.cell.number)
        .map(|sample| {
            let brief = Brief::new(sample, settings);
            let time = brief.time.map_or_else(|| "no time".into(), seconds);
            match brief.status {
                Status::Ok => time,
                status => format!("{} ({time})", status.as_str()),
            }
        })
        .collect();
    let (samples, each) = (counted(samples.into(), "sample"), each.join(", "));
    format!("{samples} of {repeats}; status {status}; time per client in each: {each}.")
}

fn looked_into(row: &Row, measurement: &Measurement) -> Option<String> {
    (row.repeats > 1).then(|| format!("From here on about sample {}.", measurement.repeat))
}

/// When the first and the last client were done.
fn clients(measurement: &Measurement) -> Option<String> {
    let mut ends: BTreeMap<u32, u64> = BTreeMap::new();
    for record in &measurement.records {
        if let Some(since) = record.since_release(record.ended_ns) {
            let end = ends.entry(record.client).or_default();
            *end = since.max(*end);
        }
    }
    let (first, last) = (ends.values().min()?, ends.values().max()?);
    let records = measurement.records.iter();
    let verified = records.map(|record| record.verified_bytes).sum();
    let rate = rate(verified, *last)
        .map_or_else(String::new, |rate| format!(", {} MB/s", rate_text(rate)));
    let (first, last) = (nanoseconds(*first), nanoseconds(*last));
    let bytes = with_commas(verified);
    let moved = format!("{bytes} verified bytes in that time{rate}");
    Some(match ends.len() {
        1 => format!("The client was done {last} after the release: {moved}."),
        _ => format!(
            "The first client was done {first} after the release, the last after {last}: {moved}."
        ),
    })
}

fn split(cell: &Cell, parts: &Parts) -> String {
    let share = |part: Part| {
        let Spread {
            median, min, max, ..
        } = part.spread;
        let [median, min, max] = [median, min, max].map(nanoseconds);
        let range = match parts.len {
            1 => median,
            _ => format!("median {median}, {min} to {max}"),
        };
        format!("{:.1} % ({range})", parts.share([part]) * 100.0)
    };
    let waiting = match cell.operation {
        Operation::Upload => "sending the file and waiting for the answer",
        Operation::Download | Operation::List => "waiting for the first byte",
    };
    let rest = match cell.operation {
        Operation::Upload => "taking the answer in",
        Operation::Download => "the transfer",
        Operation::List => "taking the listing in",
    };
    let operations = counted(parts.len as u64, "verified operation");
    let [connect, wait, transfer] = [parts.connect, parts.wait, parts.rest].map(share);
    format!(
        "Of the time of {operations}, {connect} went in connecting, {wait} in {waiting}, {transfer} in {rest}."
    )
}

/// The longest time without a completed operation, where it is more than what came before the first one.
fn pause(measurement: &Measurement) -> Option<String> {
    let sample = |record: &Record| record.since_release(record.ended_ns);
    let ends = measurement.records.iter().filter_map(sample);
    let first = ends.min()?;
    let pause = longest_pause(&measurement.records).filter(|pause| *pause > first)?;
    let window = seconds(measurement.window()?);
    Some(format!(
        "The longest time without a completed operation was {} of {window}.",
        nanoseconds(pause)
    ))
}

/// With fewer workers than clients, some stand in a queue.
fn queueing(cell: &Cell, parts: &Parts) -> Option<String> {
    let Cell {
        operation,
        clients,
        servers,
        server_pool,
        ..
    } = *cell;
    if clients <= servers || !server_pool.is_blocking() {
        return None;
    }
    let turns = clients.div_ceil(servers);
    let seen = match operation {
        Operation::Upload => {
            "Uploads stand in it with their bytes in the kernel's buffers, so that it shows in the same part as sending".to_owned()
        }
        Operation::Download | Operation::List => format!(
            "The first byte of the luckiest operation came {} after its connection, that of the unluckiest after {}",
            nanoseconds(parts.wait.spread.min),
            nanoseconds(parts.wait.spread.max)
        ),
    };
    let workers = counted(servers.into(), "worker");
    let others = counted((turns - 1).into(), "other");
    Some(format!(
        "{clients} clients share {workers}: unless a worker serves several at a time, a client waits for up to {others} before it. {seen}."
    ))
}

/// The kernel tells user time from its own by ticks of some milliseconds: of less than this nobody can say whose it
/// was.
const KERNEL_SHARE_MIN: Duration = Duration::from_millis(100);

/// How near the row came to what the machine can do.
fn ceiling(row: &Row) -> Option<String> {
    let permille = row.ceiling_permille()?;
    let percent = format!("{}.{} %", permille / 10, permille % 10);
    let reached = rate_text(row.aggregate_bytes_per_s?);
    let ceiling = rate_text(row.ceiling_bytes_per_s?);
    Some(format!(
        "The row's {reached} MB/s together are {percent} of the {ceiling} that the machine can move when nobody does anything with the bytes."
    ))
}

/// What was done to the server meanwhile.
fn fault(measurement: &Measurement) -> Vec<String> {
    let Some(report) = &measurement.fault else {
        return Vec::new();
    };
    let mut said = Vec::new();
    let fault = measurement.cell.fault;
    let released = measurement.records.first().map(|record| record.released_ns);
    if let Some(killed) = report.killed {
        let since = released.and_then(|released| killed.at_ns.checked_sub(released));
        let when = since.map_or_else(String::new, |ns| {
            format!(" {} after the release", nanoseconds(ns))
        });
        let connections = counted(killed.in_hand.into(), "connection");
        said.push(format!(
            "Fault {fault}: worker process {} was killed{when}, with {connections} in hand.",
            killed.pid
        ));
    }
    if !report.clients.is_empty() {
        let held = report.clients.iter().map(|client| client.held_ns);
        let held = nanoseconds(median(held).unwrap_or(0));
        let clients = counted(report.connected(), "faulty client");
        said.push(format!(
            "Fault {fault}: {clients} had a connection besides, for {held} (median)."
        ));
    }
    said
}

/// Of fewer ticks of processor time nobody can say how busy a machine was.
const TICKS_MIN: u64 = 20;

/// How busy the whole machine was during a sample, in percent.
fn machine_busy(sample: &Sample) -> Option<f64> {
    let cpu = sample.cpu.filter(|cpu| cpu.total >= TICKS_MIN)?;
    Some(cpu.busy_permille()? as f64 / 10.0)
}

/// Who kept the processors busy over the window.
fn processors(sample: &Sample, cores: u32) -> Vec<String> {
    let measurement = &sample.measurement;
    let window = measurement.window().filter(|window| !window.is_zero());
    let Some(window) = window else {
        return Vec::new();
    };
    // What a short window's edges take is in the server's time, and so in what there was.
    let span = measurement.edges.map_or(window, |edges| edges.span());
    let available = span * cores;
    let client = measurement.client_cpu_us.map(Duration::from_micros);
    let done = measurement.done.as_ref();
    let server = measurement.server_cpu();
    let used = |who: &str, cpu: Option<Duration>| match cpu {
        Some(cpu) => {
            let share = percent(cpu, available);
            format!("{who} used {} ({share:.0} %)", seconds(cpu))
        }
        None => format!("what {who} used is not known"),
    };
    let clients = used("the clients", client);
    let is_window = measurement
        .edges
        .is_some_and(|edges| edges.server().is_some());
    let who = match is_window {
        true => "the server",
        false => "the server's workers, over their lives,",
    };
    let servers = used(who, server);
    let processors = counted(cores.into(), "processor");
    let (window, given) = (seconds(span), seconds(available));
    let mut said = vec![format!(
        "Over these {window} the {processors} could give {given} of CPU time: {clients}, {servers}."
    )];
    if let Some((client, server)) = client.zip(server) {
        said.push(verdict(client, server, available, machine_busy(sample)));
    }
    let lives = |done: &Done| Duration::from_micros(done.cpu_user_us + done.cpu_system_us);
    if let Some(done) = done.filter(|done| lives(done) >= KERNEL_SHARE_MIN) {
        let share = percent(Duration::from_micros(done.cpu_system_us), lives(done));
        said.push(format!(
            "Of the server's, {share:.0} % were the kernel's: sockets and files."
        ));
    }
    said.extend(measurement.edges.and_then(|edges| waits(&edges.server()?)));
    said
}

/// How often the server's processes waited, and what memory cost them.
fn waits(used: &ServerUse) -> Option<String> {
    let all = used.voluntary_switches + used.involuntary_switches;
    (all > 0).then(|| {
        format!(
            "The server's {} gave a processor away {}, {} of them because others were to have it; they had {}, {} of them from a disk.",
            counted_as(used.processes.into(), "process", "processes"),
            counted(all, "time"),
            used.involuntary_switches,
            counted(used.minor_faults + used.major_faults, "page fault"),
            used.major_faults,
        )
    })
}

fn percent(part: Duration, whole: Duration) -> f64 {
    part.as_secs_f64() / whole.as_secs_f64() * 100.0
}

/// What held the sample up, as far as CPU time tells.
fn verdict(
    client: Duration,
    server: Duration,
    available: Duration,
    machine_busy: Option<f64>,
) -> String {
    let share = percent(client + server, available);
    // What neither of the two used was idle only if nobody else used it.
    let is_idle_below = if share >= 50.0 { 90.0 } else { 50.0 };
    if let Some(busy) = machine_busy.filter(|busy| share < 90.0 && *busy >= is_idle_below) {
        return format!(
            "Together they used {share:.0} % of the processors, but over the whole sample these were busy for {busy:.0} % of the time: other programs, or what the sample itself took before and after, had them, so whoever waited may have waited for a processor."
        );
    }
    let greater = match client > server {
        true => "the clients, who need more of it than the server",
        false => "the server, who needs more of it than the clients",
    };
    match share {
        90.0.. => format!(
            "Together they used the processors up ({share:.0} %): what held this up is CPU time, first of all that of {greater}."
        ),
        50.0.. => format!(
            "Together they used {share:.0} % of the processors: more would have gone through if all had always had something to do."
        ),
        _ => format!(
            "Together they used {share:.0} % of the processors: most of the time everybody waited, for a turn, a timer or the other side."
        ),
    }
}

/// What each worker of our server did.
fn workers(measurement: &Measurement) -> Option<String> {
    let done: &Done = measurement.done.as_ref()?;
    let served = |accepted: &u64| *accepted > 0;
    let workers = done.workers.iter();
    let accepted = workers.map(|worker| worker.counts.connections.accepted);
    let busy_len = accepted.clone().filter(served).count();
    let sum: u64 = accepted.clone().sum();
    let most = accepted.clone().max().unwrap_or(0);
    let least = accepted.filter(served).min().unwrap_or(0);
    let len = done.workers.len();
    let idle = match len - busy_len {
        0 => String::new(),
        idle => format!("; {idle} served nobody"),
    };
    let crashed = counted_as(done.crashes.into(), "worker process", "worker processes");
    let crashes = match done.crashes {
        0 => String::new(),
        _ => format!("; {crashed} ended without being asked to"),
    };
    let all = counted(sum, "connection");
    let each = match (busy_len, most == least) {
        (0, _) => "none served anybody".to_owned(),
        (1, _) if sum == 1 => "one served the only connection".to_owned(),
        (1, _) => format!("one served all {all}"),
        (_, true) => format!("{busy_len} served {} each", counted(most, "connection")),
        (_, false) => format!("{busy_len} served between {least} and {most} of {all} each"),
    };
    let workers = counted(len as u64, "server worker");
    Some(format!("Of {workers} {each}{idle}{crashes}."))
}

/// What the sample took besides what is measured.
fn whole_sample(sample: &Sample) -> Option<String> {
    let wall = nanoseconds(sample.wall_ns?);
    let mut said =
        format!("With files, start and stop of the server and verification the sample took {wall}");
    if let Some(busy) = sample.cpu.and_then(CpuTicks::busy_permille) {
        said += &format!(
            "; meanwhile all processes of the machine kept its processors busy for {:.0} % of the time",
            busy as f64 / 10.0
        );
    }
    if let Some(steal @ 1..) = sample.cpu.and_then(CpuTicks::steal_permille) {
        said += &format!(", and its host took {:.1} % away", steal as f64 / 10.0);
    }
    Some(said + ".")
}

/// How operations ended that did not succeed, with what the first of each kind had to say.
fn failures(measurement: &Measurement) -> Option<String> {
    let mut by_outcome: BTreeMap<Outcome, (u64, Option<&str>)> = BTreeMap::new();
    for record in &measurement.records {
        if record.outcome != Outcome::Ok {
            let entry = by_outcome.entry(record.outcome).or_default();
            entry.0 += 1;
            entry.1 = entry.1.or(record.detail.as_deref());
        }
    }
    if by_outcome.is_empty() {
        return None;
    }
    let each: Vec<String> = by_outcome
        .iter()
        .map(|(outcome, (count, detail))| match detail {
            Some(detail) => format!("{count} {} ({detail})", outcome.as_str()),
            None => format!("{count} {}", outcome.as_str()),
        })
        .collect();
    let all = counted(measurement.records.len() as u64, "operation");
    let each = each.join("; ");
    Some(format!("Of {all} planned, these did not succeed: {each}."))
}
