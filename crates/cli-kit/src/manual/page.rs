//! The manual page: name, synopsis, flags and subcommands from clap, everything else from the sections.

use clap::builder::{PossibleValue, StyledStr};
use clap::{Arg, ArgAction, Command};
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};

use super::PROGRAM;
use super::section::{Lead, Section, Topic};
use super::text;

/// What every page that the roff library writes starts with: the apostrophe that is no quotation mark.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";

/// The page of the whole program, in roff; it needs nothing but the man macros, and is ASCII.
pub(super) fn page(command: Command, sections: &[Section]) -> String {
    let mut command = command
        .disable_help_subcommand(true)
        .mut_subcommands(|subcommand| subcommand.disable_help_flag(true));
    // Built, it has its own --help and --version, too.
    command.build();
    let command = command
        .mut_args(told)
        .mut_subcommands(|subcommand| subcommand.mut_args(told));
    let man = Man::new(command.clone().override_usage(usage(&command)));
    let mut page = format!("{PREAMBLE}{}", title(&command));
    page.push_str(&written(|roff| {
        roff.control("SH", ["NAME"]).text([roman(name(&command))]);
    }));
    page.push_str(&rendered(|out| man.render_synopsis_section(out)));
    page.push_str(&written(|roff| {
        roff.control("SH", [Topic::Description.title()])
            .text([roman(about(&command))]);
        write_topic(roff, sections, Topic::Description);
    }));
    page.push_str(&options(&man));
    page.push_str(&commands(&command));
    page.push_str(&rest(sections));
    portable(&tidy(&page))
}

/// The head, without a date: the same program gives the same page. Nothing is hyphenated or spread over its line:
/// much of it is to be typed.
fn title(command: &Command) -> String {
    let name = command.get_name();
    let version = command.get_version().unwrap_or_default();
    format!(
        ".TH {} 1 \"\" \"{name} {version}\" \"User Commands\"\n.nh\n.ad l\n",
        name.to_uppercase()
    )
}

/// Each topic once, in its place, however its sections stand in the help.
fn rest(sections: &[Section]) -> String {
    let mut topics: Vec<Topic> = sections.iter().map(|section| section.topic).collect();
    topics.retain(|topic| *topic != Topic::Description);
    topics.sort_unstable();
    topics.dedup();
    written(|roff| {
        for topic in topics {
            roff.control("SH", [topic.title()]);
            write_topic(roff, sections, topic);
        }
    })
}

fn write_topic(roff: &mut Roff, sections: &[Section], topic: Topic) {
    for section in sections.iter().filter(|section| section.topic == topic) {
        if let Lead::Both(lead) = section.lead {
            roff.control("PP", []).text([roman(format!("{lead}:"))]);
        }
        text::write(roff, section.text);
    }
}

/// The flags that stand before any subcommand, by what they are about.
fn options(man: &Man) -> String {
    let text = rendered(|out| man.render_options_section(out));
    let mut page = String::from(".SH OPTIONS\n");
    for line in text.lines().filter(|line| *line != ".SH OPTIONS") {
        match line.strip_prefix(".SH ") {
            Some(heading) => page.push_str(&format!(".SS {}\n", sentence_case(heading))),
            None => page.push_str(&format!("{line}\n")),
        }
    }
    page
}

/// `"ROWS (EACH …)"` as it was before it was shouted.
fn sentence_case(heading: &str) -> String {
    let mut is_first = true;
    let lowered = |letter: char| match letter.is_alphabetic() && !std::mem::take(&mut is_first) {
        true => letter.to_ascii_lowercase(),
        false => letter,
    };
    heading.chars().map(lowered).collect()
}

/// Every subcommand that the help shows: how it is called, what it does, its own flags, its own notes.
fn commands(command: &Command) -> String {
    let mut page = String::new();
    for subcommand in command.get_subcommands().filter(|it| !it.is_hide_set()) {
        if page.is_empty() {
            page.push_str(".SH COMMANDS\n");
        }
        page.push_str(&written(|roff| {
            roff.control("SS", [&*usage(subcommand)]);
            roff.text([roman(about(subcommand))]);
        }));
        // What is the whole program's has been told.
        let own = subcommand.clone().mut_args(|arg| {
            let is_global = arg.is_global_set();
            arg.hide(is_global)
        });
        if own.get_arguments().any(|arg| !arg.is_hide_set()) {
            let text = rendered(|out| Man::new(own).render_options_section(out));
            for line in text.lines().filter(|line| !line.starts_with(".SH ")) {
                page.push_str(&format!("{line}\n"));
            }
        }
        if let Some(notes) = subcommand.get_after_help() {
            let notes = notes.to_string().replace(PROGRAM, command.get_name());
            page.push_str(&written(|roff| text::write(roff, &notes)));
        }
    }
    page
}

/// `arg` with its other names in its help, and with its values where they need no explanation of their own.
fn told(arg: Arg) -> Arg {
    let Some(help) = arg.get_help() else {
        return arg;
    };
    let mut help = match arg.get_action() {
        // Of a help that is long and short; a manual is neither.
        ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong => "Print help.".to_owned(),
        _ => ended(help.to_string()),
    };
    let takes_values = arg.get_action().takes_values();
    let values = match takes_values && !arg.is_hide_possible_values_set() {
        true => arg.get_possible_values(),
        false => Vec::new(),
    };
    let are_explained = values.iter().any(|value| value.get_help().is_some());
    let names: Vec<&str> = values.iter().map(PossibleValue::get_name).collect();
    let words: Vec<&str> = help
        .split(|letter: char| !letter.is_alphanumeric())
        .collect();
    let are_told = names.iter().all(|name| words.contains(name));
    if !are_explained && !are_told {
        help.push_str(&format!(" One of {}.", names.join(", ")));
    }
    for alias in arg.get_visible_aliases().unwrap_or_default() {
        help.push_str(&format!(" Alias: --{alias}."));
    }
    arg.hide_possible_values(takes_values && (are_told || !are_explained))
        .help(StyledStr::from(help))
}

/// What the command is for, up to where it says how.
fn name(command: &Command) -> String {
    let about = about(command);
    let what = about.split(':').next().unwrap_or_default();
    format!(
        "{} - {}",
        command.get_name(),
        lowered(what.trim_end_matches('.'))
    )
}

/// For the middle of a sentence; an abbreviation stays as it is.
fn lowered(sentence: &str) -> String {
    let mut letters = sentence.chars();
    match (letters.next(), letters.next()) {
        (Some(first), second) if second.is_none_or(|second| !second.is_uppercase()) => {
            format!(
                "{}{}",
                first.to_ascii_lowercase(),
                &sentence[first.len_utf8()..]
            )
        }
        _ => sentence.to_owned(),
    }
}

fn about(command: &Command) -> String {
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut about = ended(about);
    for alias in command.get_visible_aliases() {
        about.push_str(&format!(" Alias: {alias}."));
    }
    about
}

/// With the full stop that clap takes away.
fn ended(mut text: String) -> String {
    if !text.is_empty() && !text.trim_end_matches(')').ends_with(['.', ':', '?', '!']) {
        text.push('.');
    }
    text
}

/// The ways to call it, one a line.
fn usage(command: &Command) -> String {
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage:").unwrap_or(&usage);
    let lines = usage.lines().map(str::trim);
    lines.collect::<Vec<_>>().join("\n")
}

/// What `write` adds to an empty page.
fn written(write: impl FnOnce(&mut Roff)) -> String {
    let mut roff = Roff::new();
    write(&mut roff);
    without_preamble(&roff.render())
}

fn rendered(render: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> String {
    let mut text = Vec::new();
    // Writing into memory does not fail.
    let _ = render(&mut text);
    without_preamble(&String::from_utf8_lossy(&text))
}

fn without_preamble(text: &str) -> String {
    text.strip_prefix(PREAMBLE).unwrap_or(text).to_owned()
}

/// Below a heading there is a paragraph anyway.
fn tidy(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    let mut is_below_heading = false;
    for line in page.lines() {
        if !(is_below_heading && line == ".PP") {
            out.push_str(line);
            out.push('\n');
        }
        is_below_heading = line.starts_with(".SH ") || line.starts_with(".SS ");
    }
    out
}

/// What typesetters would take for accents and quotes, and what is not ASCII, by its name.
fn portable(page: &str) -> String {
    let mut out = String::with_capacity(page.len());
    for letter in page.chars() {
        match letter {
            '~' => out.push_str("\\(ti"),
            '^' => out.push_str("\\(ha"),
            '`' => out.push_str("\\(ga"),
            letter if letter.is_ascii() => out.push(letter),
            letter => out.push_str(&format!("\\[u{:04X}]", u32::from(letter))),
        }
    }
    out
}

#[cfg(test)]
mod tests;
