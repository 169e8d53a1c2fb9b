//! Whose rights this process acts with, and what it may then do by a name.

pub mod footing;
mod user;

pub use user::{User, current_user, is_root};
