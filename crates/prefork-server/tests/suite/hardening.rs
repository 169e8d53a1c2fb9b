//! Who the server runs as, what its workers can reach, and what it inherits and passes on.

mod confinement;
mod inherited;
mod names;
mod user;
