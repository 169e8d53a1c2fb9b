//! Replies: a stream of them read in pieces, and what came of it.

mod properties;
mod tables;

use proto::reply::{BadReply, Reply, ReplyDecoder, Step};

use crate::pieces::cut;

type Outcome = Result<(Reply, Vec<u8>), BadReply>;

/// Decodes a stream of replies up to its end or the first bad one, and sees to it that the decoder
/// always gets on.
fn run_with(input: &[u8], lens: &[usize], out_len: usize) -> Vec<Outcome> {
    run_in(&mut ReplyDecoder::new(), input, lens, out_len)
}

fn run_in(
    decoder: &mut ReplyDecoder,
    input: &[u8],
    lens: &[usize],
    out_len: usize,
) -> Vec<Outcome> {
    let mut out = vec![0; out_len];
    let mut content = Vec::new();
    let mut outcomes = Vec::new();
    for mut piece in cut(input, lens) {
        while !piece.is_empty() {
            let step = match decoder.decode(piece, &mut out) {
                Ok(step) => step,
                Err(error) => {
                    outcomes.push(Err(error));
                    return outcomes;
                }
            };
            let Step {
                consumed,
                produced,
                reply,
            } = step;
            assert!(consumed + produced > 0, "stuck at {}", piece.escape_ascii());
            content.extend_from_slice(&out[..produced]);
            piece = &piece[consumed..];
            if let Some(reply) = reply {
                assert_eq!(reply.content_len, content.len() as u64);
                assert!(decoder.is_at_start());
                outcomes.push(Ok((reply, std::mem::take(&mut content))));
            }
        }
    }
    outcomes
}

fn ok() -> Reply {
    Reply {
        ok: true,
        ..Reply::default()
    }
}
