use clap::CommandFactory;

use super::*;

#[test]
fn a_value_that_is_none_is_told_what_one_looks_like() {
    let command = Args::command();
    let with_values = command
        .get_arguments()
        .filter(|arg| arg.get_action().takes_values());
    for arg in with_values {
        let typed = format!("--{}=fuor", arg.get_long().unwrap());
        let Err(error) = Args::try_parse_from(["prefork-server", &typed]) else {
            continue;
        };
        let said = error.to_string();
        let hints = ["write ", "possible values"];
        assert!(hints.iter().any(|hint| said.contains(hint)), "{said}");
    }
}
