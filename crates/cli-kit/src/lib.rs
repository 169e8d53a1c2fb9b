//! What the three command lines share: their manual and their completions, the values of flags, standard output, and
//! Ctrl-C.

pub mod interrupt;
mod manual;
pub mod output;
pub mod value;

pub use manual::{Handout, Lead, Section, Topic, fitted, help};
