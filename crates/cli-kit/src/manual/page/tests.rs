use clap::{ArgAction, ValueHint};

use super::*;

fn command() -> Command {
    Command::new("tool")
        .version("1.2.3")
        .about("Does things: many of them")
        .arg(
            Arg::new("how")
                .long("how")
                .visible_alias("way")
                .value_parser(["fast", "well"])
                .default_value("well")
                .help("How"),
        )
        .arg(
            Arg::new("port")
                .long("port")
                .help_heading("Network (of yours)")
                .help("Which port"),
        )
        .arg(
            Arg::new("secret")
                .long("secret")
                .hide(true)
                .action(ArgAction::SetTrue)
                .help("No"),
        )
        .subcommand(
            Command::new("show")
                .about("Shows it")
                .arg(
                    Arg::new("file")
                        .value_name("FILE")
                        .value_hint(ValueHint::FilePath)
                        .help("The file"),
                )
                .after_help("Exit codes:\n  0  shown"),
        )
        .subcommand(Command::new("inner").hide(true))
}

const SECTIONS: [Section; 4] = [
    Section::new(
        Topic::Examples,
        Lead::Help("Examples"),
        "  tool ~/x    does 'x'",
    ),
    Section::new(
        Topic::Signals,
        Lead::Both("Signals, to all"),
        "  TERM  ends it",
    ),
    Section::new(Topic::Description, Lead::Nothing, "More of it…"),
    Section::new(Topic::SeeAlso, Lead::ManualOnly, "man(1)"),
];

#[test]
fn sections_stand_in_the_order_of_manuals() {
    let page = page(command(), &SECTIONS);
    let headings: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix(".SH "))
        .collect();
    assert_eq!(
        headings,
        [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "COMMANDS",
            "SIGNALS",
            "EXAMPLES",
            "\"SEE ALSO\""
        ]
    );
}

#[test]
fn flags_tell_their_values_and_their_other_names() {
    let page = page(command(), &[]);
    for want in [
        "tool \\- does things\n",
        "How. One of fast, well. Alias: \\-\\-way.",
        ".SS \"Network (of yours)\"",
        ".SS \"tool show [FILE]\"\nShows it.\n",
        "Exit codes:\n.TP\n\\fB0\\fR\nshown\n",
    ] {
        assert!(page.contains(want), "{want}: {page}");
    }
    assert!(
        !page.contains("secret") && !page.contains("inner"),
        "{page}"
    );
}

#[test]
fn what_is_to_be_copied_from_a_page_is_ascii() {
    let page = page(command(), &SECTIONS);
    assert!(page.is_ascii());
    assert!(
        page.contains("\\fBtool \\(ti/x\\fR\ndoes \\*(Aqx\\*(Aq"),
        "{page}"
    );
    assert!(page.contains("More of it\\[u2026]"));
}

#[test]
fn the_help_has_what_is_not_for_the_manual_alone() {
    assert_eq!(
        crate::help(&SECTIONS),
        "Examples:\n  tool ~/x    does 'x'\n\nSignals, to all:\n  TERM  ends it\n\nMore of it…"
    );
}
