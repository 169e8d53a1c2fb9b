//! The scripted session, and what may be under each name after it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proto::base64::Encoder;
use serde_json::Value;

use super::client::{Answer, Client, Verdict};
use crate::keep::Tally;

/// Files that are there before.
const BEFORE: [(&str, &[u8]); 3] = [
    ("gone", b"what is deleted"),
    ("old", b"what is read"),
    ("over", b"what is replaced"),
];

/// Puts them there.
pub(super) fn prepare(root: &Path) -> std::io::Result<()> {
    BEFORE
        .iter()
        .try_for_each(|(name, content)| fs::write(root.join(name), content))
}

/// What each name may hold: of some contents one, whole; None for no file.
#[derive(Debug, Clone)]
pub(super) struct Model {
    names: BTreeMap<&'static str, Vec<Option<Vec<u8>>>>,
    round: u32,
    /// Changes that were asked for, and not answered OK.
    pub(super) unacknowledged: u32,
}

impl Model {
    pub(super) fn new() -> Self {
        let mut names: BTreeMap<_, _> = BEFORE
            .iter()
            .map(|(name, content)| (*name, vec![Some(content.to_vec())]))
            .collect();
        names.insert("new", vec![None]);
        Self {
            names,
            round: 0,
            unacknowledged: 0,
        }
    }

    /// One session over one connection: list, get, upload something new, upload over something old, delete.
    /// While something `fails`, answers other than OK are taken.
    pub(super) fn play(
        &mut self,
        client: &mut Client,
        fails: bool,
        tally: &mut Tally,
    ) -> Verdict<()> {
        self.round += 1;
        let content = |what: &str| format!("{what} {}", self.round).repeat(300).into_bytes();
        let (new, over) = (content("new"), content("over"));
        let settled = |answer: &Answer| match answer {
            Answer::Ok(_) => Ok(()),
            _ if fails => Ok(()),
            other => Err(format!("{other:?} when nothing fails any more")),
        };
        let mut ask = |request: &[u8]| {
            let answer = client.ask(request)?;
            let what = match answer {
                Answer::Ok(_) => "answered OK",
                Answer::Refused(_) => "refused",
                Answer::Ended => "ended unanswered",
            };
            tally.count(what, 1);
            Ok::<_, String>(answer)
        };
        let answer = ask(b"LIST\r\n")?;
        settled(&answer)?;
        if let Answer::Ok(reply) = &answer {
            self.check_list(reply)?;
        }
        let answer = ask(b"GET old\r\n")?;
        settled(&answer)?;
        if let Answer::Ok(reply) = &answer {
            self.check_get("old", reply)?;
        }
        for (name, content) in [("new", new), ("over", over)] {
            let answer = ask(&upload(name, &content))?;
            settled(&answer)?;
            self.may_be(name, Some(content), matches!(answer, Answer::Ok(_)));
        }
        let was_there = self.names["gone"].iter().any(Option::is_some);
        let answer = ask(b"DELETE gone\r\n")?;
        if was_there && self.names["gone"].len() == 1 {
            settled(&answer)?;
        }
        self.may_be("gone", None, matches!(answer, Answer::Ok(_)));
        client.end()
    }

    /// An acknowledged change has happened; one that was not has, or has not.
    fn may_be(&mut self, name: &'static str, content: Option<Vec<u8>>, is_certain: bool) {
        let contents = self.names.entry(name).or_default();
        match is_certain {
            true => contents.clear(),
            false => self.unacknowledged += 1,
        }
        contents.push(content);
    }

    /// Compares with the disk: from here on the names hold what they do.
    pub(super) fn settle(&mut self, root: &Path) -> Verdict<()> {
        for (name, contents) in &mut self.names {
            let there = fs::read(root.join(name)).ok();
            if !contents.contains(&there) {
                return Err(format!(
                    "{name} holds {:?} and may hold {:?}",
                    there.map(|it| shown(&it)),
                    contents
                        .iter()
                        .map(|it| it.as_deref().map(shown))
                        .collect::<Vec<_>>()
                ));
            }
            *contents = vec![there];
        }
        Ok(())
    }

    /// Reads every name, when nothing fails: what the disk holds.
    pub(super) fn read_back(&self, client: &mut Client) -> Verdict<()> {
        for (&name, contents) in &self.names {
            let answer = ask_again(client, format!("GET {name}\r\n").as_bytes())?;
            match (&contents[..], answer) {
                ([Some(_)], Answer::Ok(reply)) => self.check_get(name, &reply)?,
                ([None], Answer::Refused(reply)) if reply["code"] == "not_found" => {}
                (_, answer) => return Err(format!("GET {name} afterwards: {answer:?}")),
            }
        }
        match ask_again(client, b"LIST\r\n")? {
            Answer::Ok(reply) => self.check_list(&reply)?,
            answer => return Err(format!("LIST afterwards: {answer:?}")),
        }
        client.end()
    }

    fn check_list(&self, reply: &Value) -> Verdict<()> {
        let listed: Vec<_> = reply["data"].as_array().into_iter().flatten().collect();
        let is_listed = |name: &str| listed.iter().any(|it| it.as_str() == Some(name));
        let is_right = self.names.iter().all(|(name, contents)| {
            let may_be = |is_there| contents.iter().any(|it| it.is_some() == is_there);
            may_be(is_listed(name))
        });
        let is_known = |it: &&&Value| it.as_str().is_some_and(|it| self.names.contains_key(it));
        if is_right && listed.iter().filter(is_known).count() == listed.len() {
            return Ok(());
        }
        Err(format!(
            "a wrong OK: LIST says {reply}; {:?}",
            self.names.keys()
        ))
    }

    fn check_get(&self, name: &str, reply: &Value) -> Verdict<()> {
        let is_it = |content: &Option<Vec<u8>>| {
            content.as_ref().is_some_and(|content| {
                reply["data_file"] == base64(content)
                    && reply["size"] == content.len()
                    && reply["crc32"] == format!("{:08x}", crc32fast::hash(content))
            })
        };
        match reply["data_namafile"] == name && self.names[name].iter().any(is_it) {
            true => Ok(()),
            false => Err(format!("a wrong OK: GET {name} says {reply}")),
        }
    }
}

/// For a message.
fn shown(content: &[u8]) -> String {
    let start = &content[..content.len().min(20)];
    format!("{} bytes, {}", content.len(), start.escape_ascii())
}

fn upload(name: &str, content: &[u8]) -> Vec<u8> {
    format!("UPLOAD {name} {}\r\n", base64(content)).into_bytes()
}

fn base64(content: &[u8]) -> String {
    let mut encoder = Encoder::new();
    let mut text = Vec::new();
    encoder.encode(content, &mut text);
    encoder.finish(&mut text);
    String::from_utf8(text).unwrap_or_default()
}

/// Who was accepted by a worker that has died since is served by nobody, and asks once more.
fn ask_again(client: &mut Client, request: &[u8]) -> Verdict<Answer> {
    match client.ask(request)? {
        Answer::Ended => client.ask(request),
        answer => Ok(answer),
    }
}
