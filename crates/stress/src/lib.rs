//! The stress harness: plans cells, starts a server for each, drives a pool of clients, verifies every byte,
//! reconciles both sides' ledgers, and writes a table.

pub mod matrix;
pub mod measure;
pub mod measurement;
pub mod record;
