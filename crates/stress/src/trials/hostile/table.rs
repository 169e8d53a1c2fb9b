//! The table of attacks: for a terminal, or as Markdown for the documentation.

use screen::{Column, Screen, Table, counted};

use super::Finding;
use super::attack::{ATTACKS, Attack};

const GOOD: &str = "A good client asks for 1,000 bytes every 20 ms, each time over a new connection: median / slowest.";

/// One heading an attack, one row a pool.
pub(crate) fn render(findings: &[Finding], screen: Screen) -> String {
    let text = Column::text;
    let mut table = Table::new([text("pool"), text("the attacker"), text("a good client")]);
    for (attack, of_attack) in attacks(findings) {
        let attackers = counted(of_attack[0].attackers.into(), "attacker");
        table.heading(&format!("{}, {attackers}: {}", attack.name, attack.what));
        for finding in of_attack {
            let cells = [finding.pool.to_owned(), attacker(finding), good(finding)];
            match finding.breach() {
                None => table.row(cells),
                Some(_) => table.bad_row(cells),
            }
        }
    }
    format!("{}\n{}\n", table.render(screen), screen.wrapped(GOOD))
}

/// One row an attack, two columns a pool, and what the attacks are.
pub(crate) fn markdown(findings: &[Finding]) -> String {
    let mut pools: Vec<&str> = Vec::new();
    for finding in findings {
        if !pools.contains(&finding.pool) {
            pools.push(finding.pool);
        }
    }
    let mut columns = vec![Column::text("attack"), Column::text("attackers")];
    for pool in &pools {
        columns.push(Column::text(format!("{pool}: the attacker")));
        columns.push(Column::text(format!("{pool}: a good client")));
    }
    let mut table = Table::new(columns);
    let mut legend = String::new();
    for (attack, of_attack) in attacks(findings) {
        let mut row = vec![attack.name.to_owned(), of_attack[0].attackers.to_string()];
        for pool in &pools {
            match of_attack.iter().find(|finding| finding.pool == *pool) {
                Some(finding) => row.extend([attacker(finding), good(finding)]),
                None => row.extend([String::new(), String::new()]),
            }
        }
        table.row(row);
        legend += &format!("- {}: {}\n", attack.name, attack.what);
    }
    format!("{}\n{GOOD}\n{legend}", table.markdown())
}

/// The attacks that were tried, with what came of each; at least one finding.
fn attacks(findings: &[Finding]) -> impl Iterator<Item = (&'static Attack, Vec<&Finding>)> {
    let of = |attack: &'static Attack| {
        let found = findings.iter().filter(|it| it.attack == attack.name);
        (attack, found.collect::<Vec<_>>())
    };
    ATTACKS
        .iter()
        .map(of)
        .filter(|(_, found)| !found.is_empty())
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
