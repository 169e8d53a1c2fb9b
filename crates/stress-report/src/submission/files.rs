//! The files of a submission: notes, and pictures whose headers say that they are some.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use stress_data::Unusable;
use stress_data::size;

/// The longest notes: a report of that length nobody reads.
pub(super) const NOTES_BYTES_MAX: u64 = 4 << 20;
/// The largest screenshot. It goes into the page whole, as text a third longer.
const CAPTURE_BYTES_MAX: u64 = 16 << 20;

/// Pixels of a side: no more fit into the headers of JPEG and GIF.
const CAPTURE_SIDE_MAX: usize = 65_535;

/// The text of notes. What is wrong is said of `what`, a flag or a key.
pub(super) fn read_notes(path: &Path, what: &str) -> Result<String, Unusable> {
    let bytes = read_file(path, what, NOTES_BYTES_MAX)?;
    let wrong = |message| Unusable(format!("{what} {}: {message}", path.display()));
    let text = String::from_utf8(bytes).map_err(|_| wrong("it is not text in UTF-8"))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    match text.trim() {
        "" => Err(wrong("it is empty")),
        _ => Ok(text.to_owned()),
    }
}

/// A picture: its media type, its usual ending and its content. What is wrong is said of `what`, a flag or a key.
pub(super) fn read_picture(
    path: &Path,
    what: &str,
) -> Result<(&'static str, &'static str, Vec<u8>), Unusable> {
    let bytes = read_file(path, what, CAPTURE_BYTES_MAX)?;
    let wrong = |message: String| Unusable(format!("{what} {}: {message}", path.display()));
    let (media_type, ending) =
        kind(&bytes).ok_or_else(|| wrong("it is none of PNG, JPEG, GIF and WebP".into()))?;
    check_size(&bytes).map_err(wrong)?;
    Ok((media_type, ending, bytes))
}

/// Whether the header says a size that a picture can have: a reader would see nothing of one that is damaged.
fn check_size(bytes: &[u8]) -> Result<(), String> {
    let damaged = || "it is damaged: its header gives no size".to_owned();
    // Its first chunk is the header, of thirteen bytes (RFC 2083, 4.1.1).
    let is_headless = bytes.starts_with(b"\x89PNG") && bytes.get(8..16) != Some(b"\0\0\0\rIHDR");
    if is_headless {
        return Err(damaged());
    }
    let size = imagesize::blob_size(bytes).map_err(|_| damaged())?;
    let side = 1..=CAPTURE_SIDE_MAX;
    match side.contains(&size.width) && side.contains(&size.height) {
        true => Ok(()),
        false => Err(format!(
            "it is damaged: its header says {} × {} pixels",
            size.width, size.height
        )),
    }
}

/// The media type and usual ending, by the first bytes.
fn kind(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some(("image/png", "png")),
        [0xff, 0xd8, 0xff, ..] => Some(("image/jpeg", "jpg")),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(("image/gif", "gif")),
        [
            b'R',
            b'I',
            b'F',
            b'F',
            _,
            _,
            _,
            _,
            b'W',
            b'E',
            b'B',
            b'P',
            ..,
        ] => Some(("image/webp", "webp")),
        _ => None,
    }
}

/// A regular file that is not too large.
pub(super) fn read_file(path: &Path, what: &str, bytes_max: u64) -> Result<Vec<u8>, Unusable> {
    let wrong = |message: String| Unusable(format!("{what} {}: {message}", path.display()));
    // A named pipe would be waited for.
    let metadata = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if !metadata.is_file() {
        return Err(wrong("it is not a file".into()));
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let read = file.take(bytes_max + 1).read_to_end(&mut bytes);
    read.map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > bytes_max {
        let most = size::format(bytes_max);
        return Err(wrong(format!("it is larger than {most}")));
    }
    Ok(bytes)
}
