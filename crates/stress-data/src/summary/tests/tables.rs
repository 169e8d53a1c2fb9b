//! What is written into the tables, to the last character.

use super::*;
use crate::summary::{clients, csv};

#[test]
fn summary_csv_has_exactly_the_promised_columns() {
    let mut out = Vec::new();
    csv::write(&[], &mut out).unwrap();
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "no,operation,volume,client_workers,server_workers,time_per_client_s,throughput_per_client_bytes_per_s,clients_ok,clients_failed,server_workers_ok,server_workers_failed,\
         server_workers_idle,client_pool,server_pool,client_buffer_bytes,server_buffer_bytes,volume_bytes,repeats,samples,status,time_min_s,time_max_s,time_mad_s,connect_median_s,first_byte_median_s,first_done_s,makespan_s,aggregate_bytes_per_s,server_cpu_s,server_peak_rss_bytes,client_cpu_s,durability,fault,top_outcome,flags,schema,\
         wait_median_s,transfer_median_s,latency_p50_s,latency_p99_s,client_peak_rss_bytes,server_memory_bytes,memory_per_connection_bytes,connections_cut,warmup_samples,ceiling_bytes_per_s,ceiling_fraction,latency_p90_s,longest_pause_s,start_spread_s,encoded_cache_bytes,subject,ratio,ratio_low,ratio_high\n"
    );
}

/// A session that found a ceiling of 1 GB/s for five connections.
fn session() -> crate::journal::Session {
    let five = crate::machine::Loopback {
        connections: 5,
        wire_bytes_per_s: 2_000_000_000,
    };
    crate::journal::Session {
        ceilings: Some(crate::machine::Ceilings {
            loopback: vec![five],
            cache_write_bytes_per_s: 1,
            cache_read_bytes_per_s: 1_000_000_000,
        }),
        ..testing::session()
    }
}

fn csv_line(row: Row) -> String {
    let mut out = Vec::new();
    csv::write(&[row], &mut out).unwrap();
    String::from_utf8(out)
        .unwrap()
        .lines()
        .nth(1)
        .unwrap()
        .to_owned()
}

#[test]
fn a_row_of_summary_csv_is_known_to_the_last_digit() {
    let mut sample = all_ok(0, 100);
    let mut ready = testing::ready();
    ready.settings.receive_buffer_bytes = Some(524_288);
    sample.measurement.ready = Some(ready);
    let mut contents = testing::contents(&Selection::default(), 1);
    contents.add(crate::journal::Line::Session(session()));
    contents.add(crate::journal::Line::Sample(Box::new(sample)));
    assert_eq!(
        csv_line(rows(&contents).swap_remove(4)),
        "5,download,10M,5,5,0.120000,87381333,5,0,3,0,2,thread,process,,524288,10485760,1,1,ok,0.120000,0.120000,,0.001000,0.002000,0.100000,0.140000,374491429,0.003500,3145728,0.004000,none,none,ok,,2,0.001000,0.118000,0.120000,,,,,0,0,1000000000,0.374,,0.100000,,,,,,"
    );
}

#[test]
fn the_encoded_cache_is_what_the_server_says_and_none_where_one_was_asked_for() {
    let check = |asked, told, want| {
        let mut sample = all_ok(0, 100);
        sample.measurement.cell.encoded_cache = asked;
        let mut ready = testing::ready();
        ready.settings.encoded_cache_bytes = told;
        sample.measurement.ready = Some(ready);
        let mut contents = testing::contents(&Selection::default(), 1);
        contents.header.fingerprint.cells = vec![sample.measurement.cell.clone()];
        contents.add(crate::journal::Line::Sample(Box::new(sample)));
        let row = rows(&contents).swap_remove(0);
        assert_eq!(row.encoded_cache_bytes, want, "{asked:?} {told:?}");
    };
    check(None, None, None);
    check(None, Some(512 << 20), Some(512 << 20));
    check(Some(512 << 20), Some(256 << 20), Some(256 << 20));
    // Without a cache it announces none, as servers that know of no cache.
    check(Some(0), None, Some(0));
}

#[test]
fn what_nobody_measured_is_empty_in_csv_and_null_in_json() {
    let row = row_of(1, Vec::new());
    assert_eq!(
        csv_line(row.clone()),
        "5,download,10M,5,5,,,,,,,,thread,process,,,10485760,1,0,not_run,,,,,,,,,,,,,none,,,2,,,,,,,,,0,,,,,,,,,,"
    );
    let json: serde_json::Value = serde_json::from_str(&csv::to_json(&row)).unwrap();
    assert_eq!(json["no"], 5);
    assert_eq!(json["volume"], "10M");
    assert!(json["time_per_client_s"].is_null());
    assert!(json["flags"].is_null());
}

#[test]
fn clients_csv_has_a_row_for_every_operation() {
    let mut contents = testing::contents(&Selection::default(), 1);
    let records = vec![record(0, 100, Outcome::Ok), record(1, 250, Outcome::Eof)];
    contents.add(crate::journal::Line::Sample(Box::new(sample(
        0,
        Status::Failed,
        records,
    ))));
    let mut out = Vec::new();
    clients::write(&contents, &rows(&contents), &mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(
        lines[0],
        "no,operation,volume,volume_bytes,client_workers,server_workers,client_pool,server_pool,repeat,client,request,connected_s,first_byte_s,ended_s,bytes,verified_bytes,outcome,detail,schema"
    );
    assert_eq!(
        lines[1],
        "5,download,10M,10485760,5,5,thread,process,0,0,0,0.001000000,0.002000000,0.100000000,10485760,10485760,ok,,2"
    );
    assert_eq!(
        lines[2],
        "5,download,10M,10485760,5,5,thread,process,0,1,0,0.001000000,0.002000000,0.250000000,10485760,0,eof,it broke,2"
    );
}

#[test]
fn seconds_are_rounded_to_the_nearest() {
    let check = |ns, decimals, want| {
        assert_eq!(
            csv::format_seconds(Duration::from_nanos(ns), decimals),
            want
        );
    };
    check(0, 6, "0.000000");
    check(1_499, 6, "0.000001");
    check(1_500, 6, "0.000002");
    check(999_999_500, 6, "1.000000");
    check(1_500_000_000, 0, "2");
    check(61_234_567_891, 9, "61.234567891");
}
