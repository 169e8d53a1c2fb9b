//! The table of attacks: for a terminal, or as Markdown for the documentation.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets};

use super::Finding;
use super::attack::ATTACKS;

/// One row an attack, one column a pool.
pub(super) fn render(findings: &[Finding], is_markdown: bool) -> String {
    let mut pools: Vec<&str> = Vec::new();
    for finding in findings {
        if !pools.contains(&finding.pool) {
            pools.push(finding.pool);
        }
    }
    let mut table = Table::new();
    table
        .load_style(if is_markdown {
            presets::ASCII_MARKDOWN
        } else {
            presets::NOTHING
        })
        .set_content_arrangement(ContentArrangement::Disabled);
    let mut head = vec!["attack".to_owned(), "attackers".to_owned()];
    for pool in &pools {
        head.push(format!("{pool}: the attacker"));
        head.push(format!("{pool}: a good client"));
    }
    table.set_header(head);
    for attack in &ATTACKS {
        let of_attack: Vec<_> = findings
            .iter()
            .filter(|finding| finding.attack == attack.name)
            .collect();
        let Some(first) = of_attack.first() else {
            continue;
        };
        let mut row = vec![attack.name.to_owned(), first.attackers.to_string()];
        for pool in &pools {
            match of_attack.iter().find(|finding| finding.pool == *pool) {
                Some(finding) => row.extend([attacker(finding), good(finding)]),
                None => row.extend([String::new(), String::new()]),
            }
        }
        table.add_row(row);
    }
    let mut out = format!("{table}\n");
    let _ = writeln!(
        out,
        "\nA good client asks for 1,000 bytes every 20 ms, each time over a new connection: median / slowest."
    );
    for attack in &ATTACKS {
        if findings.iter().any(|finding| finding.attack == attack.name) {
            let bullet = if is_markdown { "- " } else { "  " };
            let _ = writeln!(out, "{bullet}{}: {}", attack.name, attack.what);
        }
    }
    out
}

fn attacker(finding: &Finding) -> String {
    let harm = if finding.is_unharmed {
        ""
    } else {
        " SERVER HARMED"
    };
    format!(
        "{} after {:.1} s{harm}",
        finding.fate.how, finding.fate.after_s
    )
}

fn good(finding: &Finding) -> String {
    let good = &finding.good;
    let lost = match good.asked - good.answered {
        0 => String::new(),
        lost => format!(", {lost} of {} lost", good.asked),
    };
    format!("{:.1} / {:.0} ms{lost}", good.median_ms, good.slowest_ms)
}
