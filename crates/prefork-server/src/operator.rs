//! What the operator reads and asks: logs, status, metrics, the pidfile, standard output, the service manager.

pub mod admin;
pub mod backlog;
pub mod logger;
pub mod logs;
pub mod notice;
pub mod output;
pub mod pidfile;
pub mod port;
pub mod status;
pub mod stream;
pub mod usage;
