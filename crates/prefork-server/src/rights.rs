//! Whose rights this process acts with, and what it may then do by a name.

pub(crate) mod footing;
mod user;

pub(crate) use user::{User, current_user, is_root};
