//! A connection's buffers, and the pool they come from and go back to.
//!
//! A connection holds a buffer only while there is something in it. Moving bytes it has all three; while it
//! waits it keeps what is half done, which between two requests is nothing. So a worker with a thousand idle
//! connections needs the buffers of one.

/// Bytes taken from the socket at once.
pub(super) const INPUT_LEN: usize = 256 << 10;

/// Upload content goes to the file in pieces of this size.
pub(super) const FILE_WRITE_LEN: usize = 256 << 10;

/// Room for what arrives, or for decoded content on its way to the file, or for file content on its way to the
/// encoder. The decoder writes whole groups of three and stops where fewer fit.
const BLOCK_LEN: usize = FILE_WRITE_LEN + 3;

/// Room for one encoded piece with a reply's start and end around it.
pub(super) const OUTPUT_LEN: usize = (128 << 10) + 2048;

/// How many spare buffers of a kind are kept. One would do for a blocking worker; an event worker's downloads
/// take and give theirs in turn, and beyond a few a new one costs less than the memory: 3 MiB are kept at most.
const SPARE_MAX: usize = 8;

/// The spare buffers of one worker.
#[derive(Debug, Default)]
pub struct BufferPool {
    blocks: Vec<Box<[u8]>>,
    outputs: Vec<Vec<u8>>,
}

impl BufferPool {
    fn block(&mut self) -> Box<[u8]> {
        let spare = self.blocks.pop();
        spare.unwrap_or_else(|| vec![0; BLOCK_LEN].into_boxed_slice())
    }

    fn put_block(&mut self, block: Box<[u8]>) {
        if self.blocks.len() < SPARE_MAX && !block.is_empty() {
            self.blocks.push(block);
        }
    }

    fn output(&mut self) -> Vec<u8> {
        let spare = self.outputs.pop();
        spare.unwrap_or_else(|| Vec::with_capacity(OUTPUT_LEN))
    }

    fn put_output(&mut self, mut output: Vec<u8>) {
        if self.outputs.len() < SPARE_MAX && output.capacity() >= OUTPUT_LEN {
            output.clear();
            self.outputs.push(output);
        }
    }
}

/// What a connection holds of them: an empty one is not held.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    pub(super) input: Box<[u8]>,
    /// Decoded upload content on its way to the file, or file content on its way to the encoder.
    pub(super) content: Box<[u8]>,
    pub(super) output: Vec<u8>,
}

/// Which buffers have something in them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needed {
    pub(super) input: bool,
    pub(super) content: bool,
    pub(super) output: bool,
}

impl Buffers {
    /// Takes what is not held.
    pub(super) fn take_from(&mut self, buffer_pool: &mut BufferPool) {
        if self.input.is_empty() {
            self.input = buffer_pool.block();
        }
        if self.content.is_empty() {
            self.content = buffer_pool.block();
        }
        if self.output.capacity() < OUTPUT_LEN {
            // An answer written while nothing was held, as that to a peer that was too slow.
            let early = std::mem::replace(&mut self.output, buffer_pool.output());
            self.output.extend_from_slice(&early);
        }
    }

    /// Puts back what is not needed. The last one put is the first one taken: each block keeps its use, and a
    /// download does not touch the pages that an upload would.
    pub(super) fn put_into(&mut self, buffer_pool: &mut BufferPool, needed: Needed) {
        if !needed.content {
            buffer_pool.put_block(std::mem::take(&mut self.content));
        }
        if !needed.input {
            buffer_pool.put_block(std::mem::take(&mut self.input));
        }
        if !needed.output {
            buffer_pool.put_output(std::mem::take(&mut self.output));
        }
    }
}
