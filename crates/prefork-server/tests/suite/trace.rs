//! What `strace -f -o FILE` wrote, as calls: which thread made which call, with what result.

/// A trace, in the order in which calls began.
#[derive(Debug)]
pub(crate) struct Trace {
    calls: Vec<Call>,
}

/// One system call that has returned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) tid: u32,
    pub(crate) name: String,
    /// As they are printed; strings with their quotes and escapes.
    pub(crate) args: Vec<String>,
    /// None for an error.
    pub(crate) result: Option<i64>,
    /// The line on which it began. Threads run at once: another may have begun before this one ended.
    pub(crate) began: usize,
}

impl Trace {
    /// Reads a trace. What is not a call that returned (signals, exits, calls cut by death) is left out.
    pub(crate) fn parse(text: &str) -> Self {
        let mut calls = Vec::new();
        let mut unfinished: Vec<(u32, usize, &str)> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let Some((tid, rest)) = line.split_once(' ') else {
                continue;
            };
            let Ok(tid) = tid.parse() else { continue };
            let rest = rest.trim_start();
            if let Some(start) = rest.strip_suffix(" <unfinished ...>") {
                unfinished.push((tid, number, start));
            } else if let Some(resumed) = rest.strip_prefix("<... ") {
                let at = unfinished.iter().position(|(of, ..)| *of == tid);
                let (Some(at), Some((_, end))) = (at, resumed.split_once(" resumed>")) else {
                    continue;
                };
                let (_, began, start) = unfinished.remove(at);
                calls.extend(call(tid, began, &format!("{start}{end}")));
            } else {
                calls.extend(call(tid, number, rest));
            }
        }
        calls.sort_by_key(|call| call.began);
        Self { calls }
    }

    pub(crate) fn calls(&self) -> &[Call] {
        &self.calls
    }
}

/// `name(arg, arg) = result`, perhaps with more behind.
fn call(tid: u32, began: usize, text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || !name.chars().all(is_name) {
        return None;
    }
    let (args, rest) = split_args(rest)?;
    let result = rest.trim_start().strip_prefix('=')?.trim_start();
    let result = result.split([' ', '<']).next()?.parse().ok();
    Some(Call {
        tid,
        name: name.to_owned(),
        args,
        result: result.filter(|result| *result >= 0),
        began,
    })
}

/// The arguments up to the closing bracket, and what is behind it.
fn split_args(text: &str) -> Option<(Vec<String>, &str)> {
    let mut args = Vec::new();
    let (mut depth, mut is_quoted, mut is_escaped, mut start) = (0, false, false, 0);
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => {
                args.push(text[start..at].trim().to_owned());
                return Some((args, &text[at + 1..]));
            }
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                args.push(text[start..at].trim().to_owned());
                start = at + 1;
            }
            _ => {}
        }
    }
    None
}

#[test]
fn calls_are_read_from_a_trace_though_others_come_in_between() {
    let trace = Trace::parse(
        "\
7 openat(5, \".\", O_WRONLY|O_TMPFILE, 0644) = 9
7 write(9, \"a, (\\\"b\"..., 3) = 3
7 fsync(9 <unfinished ...>
8 accept4(3, {sa_family=AF_INET, sin_port=htons(1)}, [16], SOCK_CLOEXEC) = -1 EAGAIN (Resource temporarily unavailable)
7 <... fsync resumed>)              = 0
8 --- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=1, si_uid=0} ---
8 exit_group(0)                     = ?
8 +++ exited with 0 +++
9 write(9, \"cut by death <unfinished ...>
",
    );
    let calls: Vec<_> = trace
        .calls()
        .iter()
        .map(|call| {
            (
                call.tid,
                call.name.as_str(),
                call.args.len(),
                call.result,
                call.began,
            )
        })
        .collect();
    assert_eq!(
        calls,
        [
            (7, "openat", 4, Some(9), 0),
            (7, "write", 3, Some(3), 1),
            (7, "fsync", 1, Some(0), 2),
            (8, "accept4", 4, None, 3),
            (8, "exit_group", 1, None, 6),
        ]
    );
    assert_eq!(trace.calls()[1].args, ["9", "\"a, (\\\"b\"...", "3"]);
}
