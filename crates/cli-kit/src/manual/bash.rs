//! What the script for bash lacks as clap makes it.

use clap::builder::PossibleValue;
use clap::{Arg, Command, ValueHint};

/// The completed script: `script` is clap's for `command`, which is called `name`.
pub(crate) fn mended(script: &str, command: &Command, name: &str) -> String {
    let mut script = with_one_label(script, name);
    for subcommand in command.get_subcommands() {
        if subcommand.get_positionals().any(is_path) {
            let function = name.replace('-', "__");
            let label = format!("{function}__subcmd__{})", subcommand.get_name());
            script = with_paths(&script, &label);
        }
        script = with_lists(script, subcommand);
    }
    with_lists(script, command)
}

/// With a hyphen in the program's name, the script looks for a subcommand under one label and has it under another,
/// and completes nothing after it (clap's issue 6421).
fn with_one_label(script: &str, name: &str) -> String {
    let wrong = format!("{}__", name.replace('-', "__subcmd__"));
    let right = format!("{}__", name.replace('-', "__"));
    script.replace(&wrong, &right)
}

/// Where a path may stand and nothing is typed yet, bash is to offer paths, not flags: it does if the script has
/// nothing to offer.
fn with_paths(script: &str, label: &str) -> String {
    let mut out = String::with_capacity(script.len());
    let mut is_wanted = false;
    for line in script.lines() {
        out.push_str(line);
        out.push('\n');
        let text = line.trim();
        if is_wanted && text.starts_with("opts=") {
            out.push_str("            [[ -z \"${cur}\" && \"${prev}\" != -* ]] && return 0\n");
        }
        is_wanted = text == label;
    }
    out
}

fn is_path(arg: &Arg) -> bool {
    matches!(
        arg.get_value_hint(),
        ValueHint::AnyPath | ValueHint::FilePath | ValueHint::DirPath
    )
}

/// Of a comma list the last value is completed, rather than all of it.
fn with_lists(mut script: String, command: &Command) -> String {
    for arg in command.get_arguments() {
        let values = arg.get_possible_values();
        if arg.get_value_delimiter() != Some(',') || values.is_empty() {
            continue;
        }
        let names: Vec<&str> = values.iter().map(PossibleValue::get_name).collect();
        let names = names.join(" ");
        for flag in arg.get_long_and_visible_aliases().unwrap_or_default() {
            let head = format!("--{flag})\n                    COMPREPLY=($(compgen ");
            let whole = format!("{head}-W \"{names}\" -- \"${{cur}}\"))");
            let last = format!(
                "{head}-P \"${{cur%\"${{cur##*,}}\"}}\" -W \"{names}\" -- \"${{cur##*,}}\"))"
            );
            script = script.replace(&whole, &last);
        }
    }
    script
}
