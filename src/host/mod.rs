//! What lanfence does on a real host: it looks at the guests that are there, fences them and
//! keeps them fenced.

pub mod gate;
pub mod netlink;
