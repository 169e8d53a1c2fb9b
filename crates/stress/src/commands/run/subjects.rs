//! `--subject`: which of them go together, with each other and with the axes.

use std::collections::BTreeSet;

use stress_data::measurement::ServerChoice;

use super::{AxisArgs, ServerArgs};

/// Whether the subjects that `serving` names can be measured beside each other in rows of `axes`.
///
/// # Errors
/// What does not go together, and what to write instead.
pub(super) fn check(serving: &ServerArgs, axes: &AxisArgs) -> Result<(), String> {
    let subjects = &serving.subject;
    if let [one] = &subjects[..] {
        return Err(format!(
            "--subject {}: nothing stands beside it: name another one, such as --subject ours=ours",
            one.name
        ));
    }
    let mut names = BTreeSet::new();
    // Where a name heads a sheet, it is the same in any case.
    if let Some(twice) = subjects
        .iter()
        .find(|it| !names.insert(it.name.to_lowercase()))
    {
        return Err(format!(
            "--subject {}: another one is called so: give each a name of its own",
            twice.name
        ));
    }
    let is_own = |server: &ServerChoice| *server == ServerChoice::Own;
    if serving.server_args.is_some() && !subjects.iter().any(|it| is_own(&it.server)) {
        return Err("--server-args: no subject is ours: leave it out".into());
    }
    let Some(foreign) = subjects.iter().find(|it| !is_own(&it.server)) else {
        return Ok(());
    };
    let refused = [
        (
            axes.server_pool.len() > 1,
            "--server-pool: rows of it would differ in nothing: name one pool, or make a run without it",
        ),
        (
            !axes.server_buffer.is_empty(),
            "--server-buffer: it is not told: give it to the subjects that are ours: 'ours:--receive-buffer SIZE'",
        ),
        (
            !axes.encoded_cache.is_empty(),
            "--encoded-cache: it is not told: give it to the subjects that are ours: 'ours:--encoded-cache SIZE'",
        ),
    ];
    match refused.into_iter().find(|(is_asked, _)| *is_asked) {
        None => Ok(()),
        Some((_, why)) => Err(format!(
            "--subject {} is not ours, and so, {why}",
            foreign.name
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::tests::parse;

    const PYTHON: &str = "python=python3 server.py --port {port} --workers {workers} --root {root}";

    #[test]
    fn subjects_are_an_axis_and_each_has_its_own_server() {
        let words = [
            "--subject",
            PYTHON,
            "--subject",
            "ours=ours",
            "--subject",
            "text=ours:--set-aside 0",
            "--server-args=--head-timeout 2s",
        ];
        let request = parse(&words).unwrap();
        assert_eq!((request.plan.cells.len(), request.repeats), (243, 3));
        let cell = |number: u32| &request.plan.cells[number as usize - 1];
        assert_eq!(cell(82).subject.as_deref(), Some("ours"));
        assert!(cell(1).is_beside(cell(82)) && !cell(1).is_beside(cell(83)));
        let of = |number| request.settings.of(cell(number)).into_owned();
        assert!(matches!(of(81).server, ServerChoice::Command(_)));
        assert_eq!(of(82).server, ServerChoice::Own);
        assert_eq!(of(82).server_args, ["--head-timeout", "2s"]);
        let text = ["--head-timeout", "2s", "--set-aside", "0"];
        assert_eq!(of(163).server_args, text);
        let repeated = parse(&[&words[..], &["--repeat", "5"]].concat()).unwrap();
        assert_eq!(repeated.repeats, 5);
    }

    #[test]
    fn what_makes_no_sense_with_subjects_is_refused_with_what_to_write_instead() {
        let check = |words: &[&str], want: &str| {
            let said = parse(words).expect_err("usage").to_string();
            assert!(said.contains(want), "no '{want}' in '{said}'");
        };
        let beside = |subject, more: &[&str], want: &str| {
            let words = ["--subject", "ours=ours", "--subject", subject];
            check(&[&words[..], more].concat(), want);
        };
        check(&["--subject", "ours=ours"], "nothing stands beside it");
        beside("nonsense", &[], "write NAME=COMMAND");
        beside("a b=ours", &[], "'a b' is no name");
        beside("Ours=ours", &[], "another one is called so");
        beside("x=python3 s.py {port}", &[], "{root} must stand");
        beside("x=python3 's.py {port} {root}", &[], "a quote in it");
        beside("x=ours:--nonsense", &[], "--subject x: ");
        beside("x=ours:--workers 3", &[], "write stress --servers N");
        beside("x=s {port} {root}", &[], "--subject x: a command without");
        let cache = ["--encoded-cache", "0"];
        beside(PYTHON, &cache, "'ours:--encoded-cache SIZE'");
        let pools = ["--server-pool", "process,thread"];
        beside(PYTHON, &pools, "name one pool");
        let killed = ["--fault", "kill-worker"];
        beside(PYTHON, &killed, "the foreign --subject out");
        beside(
            "x=ours",
            &["--server-cmd", "x {port} {root}"],
            "--server-cmd",
        );
        beside("x=ours", &["--target", "h:1"], "--target");
        let foreign = PYTHON.replace("python=", "other=");
        let words = ["--subject", PYTHON, "--subject", &foreign];
        let words = [&words[..], &["--server-args", "--head-timeout 2s"]].concat();
        check(&words, "no subject is ours");
        // A cache of its own is what a subject may differ in.
        let own = [
            "--subject",
            "a=ours",
            "--subject",
            "b=ours:--encoded-cache 0",
        ];
        assert!(parse(&own).is_ok());
        assert!(parse(&[&own[..], &["--encoded-cache", "1M"]].concat()).is_err());
    }
}
