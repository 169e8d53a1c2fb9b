//! Finds the end of a value of no interest, whatever is inside it.

use crate::limits::JSON_DEPTH_MAX;
use crate::reply::BadReply;

/// The open brackets of such a value, innermost in the lowest bit: 1 for an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nesting {
    kinds: u64,
    depth: usize,
}

const _: () = assert!(
    JSON_DEPTH_MAX <= u64::BITS as usize,
    "each level of nesting has its bit"
);

impl Nesting {
    /// After the value's own bracket.
    pub(crate) fn new(opening: u8) -> Self {
        Self {
            kinds: u64::from(opening == b'{'),
            depth: 1,
        }
    }

    /// Where a punctuation leads; none when it ends the value. Only brackets are checked: where the
    /// value ends depends on nothing else.
    pub(crate) fn follow(self, punct: u8) -> Result<Option<Self>, BadReply> {
        let Self { kinds, depth } = self;
        match punct {
            b'{' | b'[' if depth == JSON_DEPTH_MAX => {
                Err(BadReply::new("its JSON is nested too deep"))
            }
            b'{' | b'[' => Ok(Some(Self {
                kinds: kinds << 1 | u64::from(punct == b'{'),
                depth: depth + 1,
            })),
            b'}' | b']' if (kinds & 1 == 1) != (punct == b'}') => {
                Err(BadReply::new("its JSON has brackets that do not match"))
            }
            b'}' | b']' if depth == 1 => Ok(None),
            b'}' | b']' => Ok(Some(Self {
                kinds: kinds >> 1,
                depth: depth - 1,
            })),
            _ => Ok(Some(self)),
        }
    }
}
