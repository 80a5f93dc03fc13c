//! The serialisable run and its renderers.

pub mod model;
