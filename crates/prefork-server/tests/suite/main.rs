//! The real server, on port 0, over real sockets: one test program, one module a topic.

mod support;

mod foreign;
mod ledger;
mod life_cycle;
mod limits;
mod malformed;
mod root;
mod transfer;
