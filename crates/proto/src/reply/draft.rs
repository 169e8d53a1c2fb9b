//! What the keys of a reply mean, and the reply as far as it has been read.

use super::{BadReply, Reply};

/// What a key means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Status,
    Code,
    Message,
    Data,
    Truncated,
    Name,
    Content,
    Size,
    Crc32,
    Unknown,
}

/// A reply in the making. Where a key comes twice the last one counts, as in Python; only content
/// has been handed out by then.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) reply: Reply,
    has_status: bool,
    has_data_file: bool,
    /// Bytes held in `reply.names`, their bookkeeping included.
    pub(super) names_len: usize,
    /// Strings of earlier replies, and a list of names without any, to be used again.
    spare: Vec<String>,
    spare_names: Vec<String>,
}

impl Draft {
    /// The reply that is whole; the next can begin.
    pub(super) fn take(&mut self) -> Reply {
        let next = Self {
            spare: std::mem::take(&mut self.spare),
            spare_names: std::mem::take(&mut self.spare_names),
            ..Self::default()
        };
        std::mem::replace(self, next).reply
    }

    /// Keeps the memory of `reply` for those to come.
    pub(super) fn reuse(&mut self, reply: Reply) {
        let texts = [reply.code, reply.message, reply.name];
        self.spare.extend(texts.into_iter().flatten());
        if let Some(mut names) = reply.names {
            self.spare.append(&mut names);
            self.spare_names = names;
        }
    }

    fn text(&mut self, text: &str) -> String {
        let mut kept = self.spare.pop().unwrap_or_default();
        kept.clear();
        kept.push_str(text);
        kept
    }

    pub(super) fn field(&mut self, key: &str) -> Result<Field, BadReply> {
        Ok(match key {
            "status" => Field::Status,
            "code" => Field::Code,
            "message" => Field::Message,
            "data" => Field::Data,
            "truncated" => Field::Truncated,
            "data_namafile" => Field::Name,
            "size" => Field::Size,
            "crc32" => Field::Crc32,
            "data_file" if self.has_data_file => {
                return Err(BadReply::new("it has data_file twice"));
            }
            "data_file" => {
                self.has_data_file = true;
                Field::Content
            }
            _ => Field::Unknown,
        })
    }

    pub(super) fn set_string(&mut self, field: Field, text: &str) {
        match field {
            Field::Status => {
                self.reply.ok = text.eq_ignore_ascii_case("ok");
                self.has_status = true;
            }
            Field::Code => self.reply.code = Some(self.text(text)),
            Field::Message => self.reply.message = Some(self.text(text)),
            // Where both are there, `message` is the one that was meant for a person.
            Field::Data if self.reply.message.is_some() => {}
            Field::Data => self.reply.message = Some(self.text(text)),
            Field::Name => self.reply.name = Some(self.text(text)),
            Field::Size => self.reply.size = text.parse().ok(),
            Field::Crc32 => self.reply.crc32 = parse_crc32(text),
            Field::Truncated | Field::Content | Field::Unknown => {}
        }
    }

    /// Of the scalars only a size, a truncation and missing content mean something; any other stands
    /// for a value that is not there.
    pub(super) fn set_scalar(&mut self, field: Field, text: &str) -> Result<(), BadReply> {
        match field {
            Field::Size => self.reply.size = text.parse().ok(),
            Field::Truncated => self.reply.truncated = text == "true",
            Field::Content if text != "null" => {
                return Err(BadReply::new("its data_file is not a string"));
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn start_names(&mut self) {
        self.reply.names = Some(std::mem::take(&mut self.spare_names));
        self.names_len = 0;
    }

    pub(super) fn add_name(&mut self, name: &str, len_max: usize) -> Result<(), BadReply> {
        // An empty name costs memory, too.
        self.names_len += name.len() + size_of::<String>();
        if self.names_len > len_max {
            return Err(BadReply::new("its listing is too long"));
        }
        let name = self.text(name);
        self.reply.names.get_or_insert_default().push(name);
        Ok(())
    }

    /// The object has ended: it must have said how the request went.
    pub(super) fn end(&self) -> Result<(), BadReply> {
        match self.has_status {
            true => Ok(()),
            false => Err(BadReply::new("it has no status")),
        }
    }
}

/// Up to eight hex digits, since not every server pads.
fn parse_crc32(text: &str) -> Option<u32> {
    let hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}
