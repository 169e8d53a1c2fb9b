//! What our server has to stand: a soak, and hostile clients.

pub(crate) mod hostile;
pub(crate) mod soak;
