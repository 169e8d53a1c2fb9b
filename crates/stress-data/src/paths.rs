//! Texts without the paths of this machine: a run's files are kept, published and compared, and where somebody's
//! folders lie says nothing about what was measured.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What stands for the folders that are left out.
pub const ELSEWHERE: &str = "…";

/// `value` with every absolute path in its texts shortened to its last name: `/home/me/server.py` becomes
/// `…/server.py`. Doing it again changes nothing.
///
/// # Errors
/// `value` is not what its own JSON reads back as.
pub fn without_paths<T: Serialize + DeserializeOwned>(value: &T) -> serde_json::Result<T> {
    let mut value = serde_json::to_value(value)?;
    shorten_all(&mut value);
    serde_json::from_value(value)
}

fn shorten_all(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(shortened) = shorten(text) {
                *text = shortened;
            }
        }
        Value::Array(items) => items.iter_mut().for_each(shorten_all),
        Value::Object(fields) => fields.values_mut().for_each(shorten_all),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn shorten(text: &str) -> Cow<'_, str> {
    let mut shortened = String::new();
    let mut done_len = 0;
    while let Some(start) = next_path(text, done_len) {
        let path = &text[start..];
        let path = &path[..path.find(ends_path).unwrap_or(path.len())];
        let name = path.trim_end_matches('/');
        let name = &name[name.rfind('/').unwrap_or(0)..];
        shortened.push_str(&text[done_len..start]);
        shortened.push_str(ELSEWHERE);
        shortened.push_str(name);
        done_len = start + path.len();
    }
    match done_len {
        0 => Cow::Borrowed(text),
        _ => Cow::Owned(shortened + &text[done_len..]),
    }
}

/// Where the next absolute path begins, from `from` on: at a slash before a name and not behind one.
fn next_path(text: &str, from: usize) -> Option<usize> {
    let is_start = |offset: &usize| {
        let before = text[..*offset].chars().next_back();
        let after = text[*offset..].trim_start_matches('/').chars().next();
        // In `http://host` the slashes are no path's.
        let is_behind_scheme = before == Some(':') && text[*offset..].starts_with("//");
        before.is_none_or(precedes_path)
            && after.is_some_and(|c| !ends_path(c))
            && !is_behind_scheme
    };
    let offsets = text[from..].match_indices('/');
    offsets.map(|(offset, _)| from + offset).find(is_start)
}

fn precedes_path(c: char) -> bool {
    c.is_whitespace() || "\"'`([{<>=:,;|&".contains(c)
}

fn ends_path(c: char) -> bool {
    c.is_whitespace() || "\"'`)]}<>:,;|&".contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn absolute_paths_keep_their_last_name_and_nothing_else_changes() {
        let check = |text: &str, want: &str| assert_eq!(shorten(text), want);
        check("/home/me/stress", "…/stress");
        check("/", "/");
        check("/tmp/", "…/tmp");
        check("//tmp//x//", "…/x");
        check("--out=/tmp/x", "--out=…/x");
        check(
            "/usr/bin/python3 /home/me/server.py --root {root} --log \"/var/my log\"",
            "…/python3 …/server.py --root {root} --log \"…/my log\"",
        );
        check("PATH=/bin:/usr/bin sh", "PATH=…/bin:…/bin sh");
        check("cannot open '/srv/a/b': gone", "cannot open '…/b': gone");
        check("/srv/files: in use", "…/files: in use");
        for text in [
            "",
            "results/run",
            "./server --root {root}",
            "../x/y",
            "{root}/data",
            "12 MB/s and 3 / 4",
            "http://127.0.0.1:1/x",
            "…/stress",
            "AMD EPYC w/ AVX",
        ] {
            check(text, text);
        }
    }

    #[test]
    fn every_text_of_a_value_is_looked_at() {
        let value = serde_json::json!({"/key/stays": ["/a/b", {"deep": "x /a/c"}, 7, null, true]});
        let want = serde_json::json!({"/key/stays": ["…/b", {"deep": "x …/c"}, 7, null, true]});
        assert_eq!(without_paths(&value).unwrap(), want);
    }

    proptest! {
        #[test]
        fn doing_it_again_changes_nothing(text in "[/a.:'\" =…{}]{0,20}") {
            let once = shorten(&text).into_owned();
            prop_assert_eq!(shorten(&once), once.as_str());
        }

        #[test]
        fn no_text_panics(text in ".{0,20}") {
            let _ = shorten(&text);
        }
    }
}
