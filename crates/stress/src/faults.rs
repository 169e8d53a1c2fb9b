//! Carries out what a cell does to its server while the clients are at work.

mod client;
mod killer;
mod scene;

pub(crate) use scene::{Scene, carry_out};
