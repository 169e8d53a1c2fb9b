//! Replies as they are written. Every function appends to `out`.
//!
//! Strings come out in ASCII, as `json.dumps` writes them: existing clients decode UTF-8 piece by
//! piece as it arrives, and would stumble over a character that was cut in two.

use std::io::{self, Write};

use serde::Serialize as _;
use serde_json::ser::Formatter;

use super::{Code, TERMINATOR};
use crate::FileName;

/// `{"status":"OK","data":[` …: the start of a listing; then [`encode_list_item`] for each name, then
/// [`encode_list_end`].
pub fn encode_list_start(out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"status":"OK","data":["#);
}

/// One name of a listing. `first` is true for the first one only.
pub fn encode_list_item(out: &mut Vec<u8>, name: &FileName, first: bool) {
    if !first {
        out.push(b',');
    }
    encode_string(out, name.as_str());
}

/// The end of a listing and of its reply; `truncated` when a cap cut the list.
pub fn encode_list_end(out: &mut Vec<u8>, truncated: bool) {
    out.extend_from_slice(if truncated {
        br#"],"truncated":true}"#
    } else {
        b"]}"
    });
    out.extend_from_slice(TERMINATOR);
}

/// The start of a download's reply, up to and including the quote before the base64 content.
pub fn encode_get_start(out: &mut Vec<u8>, name: &FileName) {
    out.extend_from_slice(br#"{"status":"OK","data_namafile":"#);
    encode_string(out, name.as_str());
    out.extend_from_slice(br#","data_file":""#);
}

/// The end of a download's reply, from the quote after the content: size, CRC-32 and terminator.
pub fn encode_get_end(out: &mut Vec<u8>, size: u64, crc32: u32) {
    out.push(b'"');
    encode_size_and_crc32(out, size, crc32);
}

/// The whole reply to a stored upload.
pub fn encode_uploaded(out: &mut Vec<u8>, name: &FileName, size: u64, crc32: u32) {
    out.extend_from_slice(br#"{"status":"OK","data":"#);
    encode_string(out, &format!("{name} has been uploaded"));
    encode_size_and_crc32(out, size, crc32);
}

/// The whole reply to a delete.
pub fn encode_deleted(out: &mut Vec<u8>, name: &FileName) {
    out.extend_from_slice(br#"{"status":"OK","message":"#);
    encode_string(out, &format!("{name} has been deleted"));
    out.push(b'}');
    out.extend_from_slice(TERMINATOR);
}

/// A whole error reply.
pub fn encode_error(out: &mut Vec<u8>, code: Code, message: &str) {
    out.extend_from_slice(br#"{"status":"ERROR","data":"#);
    encode_string(out, message);
    out.extend_from_slice(br#","code":"#);
    encode_string(out, code.as_str());
    out.push(b'}');
    out.extend_from_slice(TERMINATOR);
}

fn encode_size_and_crc32(out: &mut Vec<u8>, size: u64, crc32: u32) {
    write!(out, r#","size":{size},"crc32":"{crc32:08x}"}}"#).expect("writing to a Vec cannot fail");
    out.extend_from_slice(TERMINATOR);
}

fn encode_string(out: &mut Vec<u8>, text: &str) {
    let mut serializer = serde_json::Serializer::with_formatter(out, Ascii);
    text.serialize(&mut serializer)
        .expect("writing a string to a Vec cannot fail");
}

/// Escapes what is not ASCII; `serde_json` has escaped quotes, backslashes and controls already.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if fragment.is_ascii() {
            return writer.write_all(fragment.as_bytes());
        }
        for character in fragment.chars() {
            if character.is_ascii() {
                writer.write_all(&[character as u8])?;
                continue;
            }
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
        }
        Ok(())
    }
}
