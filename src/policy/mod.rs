//! What the user means: which addresses are the LAN and what a guest may do there.
//!
//! ```
//! use lanfence::{nwfilter, policy::Policy};
//!
//! let policy = Policy::parse(
//!     r#"
//!     name = "no-wan"
//!     [lan]
//!     prefixes = ["192.168.1.0/24", "fe80::/10"]
//!     gateway = "192.168.1.1"
//!     "#,
//!     "no-wan.toml",
//! )?;
//! assert!(policy.may_send_to([192, 168, 1, 77]));
//! assert!(!policy.may_send_to([8, 8, 8, 8]));
//!
//! let filter = nwfilter::generate(&policy);
//! let xml = nwfilter::write(&filter);
//! assert!(xml.contains("<filter name='no-wan'"));
//! # Ok::<(), lanfence::policy::PolicyError>(())
//! ```

mod check;
mod error;
mod fence;
mod file;
mod parse;
mod problem;
mod types;

pub use error::PolicyError;
pub use fence::Fence;
pub use problem::Problem;
pub use types::{Dhcp, LINK_LOCAL4, Policy, is_link_local};

#[cfg(test)]
mod tests;
