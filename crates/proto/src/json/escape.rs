//! Escapes inside streamed base64, which some servers write for `/`.

/// How far an escape has got after its backslash: the value of its hex digits, and how many bytes
/// have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Escape {
    code: u32,
    len: usize,
}

/// Where a byte leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Escaped {
    /// More bytes belong to the escape.
    More(Escape),
    /// It stands for this byte.
    Byte(u8),
}

impl Escape {
    /// Takes the next byte; none when the escape cannot stand for a character of base64, as only
    /// `\/` and `\uXXXX` can.
    pub(crate) fn follow(self, byte: u8) -> Option<Escaped> {
        match (self.len, byte) {
            (0, b'/') => Some(Escaped::Byte(b'/')),
            (0, b'u') => Some(Escaped::More(Self { code: 0, len: 1 })),
            (0, _) => None,
            (len, digit) => {
                let code = self.code << 4 | char::from(digit).to_digit(16)?;
                match len {
                    4 => u8::try_from(code).ok().map(Escaped::Byte),
                    _ => Some(Escaped::More(Self { code, len: len + 1 })),
                }
            }
        }
    }
}
