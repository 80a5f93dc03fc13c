//! The serialisable run and its renderers.
//!
//! [`model::Run`] is what a run found, [`summary`] adds it up to a conclusion, and
//! every other module turns it into something to read: no renderer judges. What each
//! prints is fixed by a snapshot beside it.

pub mod baseline;
pub mod causes;
pub mod clients;
pub mod color;
pub mod findings;
pub mod github;
pub mod grid;
pub mod html;
pub mod json;
pub mod junit;
pub mod live;
pub mod markdown;
pub mod matrix;
pub mod merge;
pub mod model;
pub mod pcapng;
pub mod summary;
pub mod table;
pub mod text;
pub mod titles;
pub mod verdict_lines;

#[cfg(test)]
mod arbitrary;
#[cfg(test)]
pub(crate) mod examples;
#[cfg(test)]
mod schema;
