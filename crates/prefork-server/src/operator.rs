//! What the operator reads and asks: logs, status, metrics, the pidfile, standard output, the service manager.

pub(crate) mod admin;
pub mod backlog;
pub(crate) mod logger;
pub(crate) mod logs;
pub(crate) mod notice;
pub(crate) mod output;
pub(crate) mod pidfile;
pub(crate) mod port;
pub mod status;
pub(crate) mod stream;
pub(crate) mod usage;
