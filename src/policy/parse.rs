//! Policies from files.

use super::error::PolicyError;
use super::types::Policy;
use super::{check, file};
use std::path::Path;

impl Policy {
    /// The shipped example: the LAN of the article.
    pub const EXAMPLE: &'static str = include_str!("../../lanfence.toml");

    /// What stands for the name of a file where the example is used.
    pub const EXAMPLE_ORIGIN: &'static str = "the built-in example";

    /// Parses and checks a policy. `origin` names the text in messages, as a path does.
    ///
    /// # Errors
    /// [`PolicyError::Toml`] and [`PolicyError::Value`], which say what is wrong, at which
    /// line and column, and the cure.
    pub fn parse(text: &str, origin: &str) -> Result<Self, PolicyError> {
        let file = file::parse(text, origin)?;
        check::check(&file, text, origin)
    }

    /// Reads and checks a policy file.
    ///
    /// # Errors
    /// Those of [`Policy::text`] and [`Policy::parse`].
    pub fn read(path: &Path) -> Result<Self, PolicyError> {
        Self::parse(&Self::text(path)?, &path.display().to_string())
    }

    /// The text of a policy file.
    ///
    /// # Errors
    /// [`PolicyError::Unreadable`] and [`PolicyError::NotUtf8`].
    pub fn text(path: &Path) -> Result<String, PolicyError> {
        let bytes = std::fs::read(path).map_err(|source| PolicyError::Unreadable {
            path: path.into(),
            source,
        })?;
        String::from_utf8(bytes).map_err(|error| PolicyError::NotUtf8 {
            path: path.into(),
            source: error.utf8_error(),
        })
    }

    /// The shipped example, parsed.
    ///
    /// # Panics
    /// Never: a test parses it.
    pub fn example() -> Self {
        Self::parse(Self::EXAMPLE, "the shipped example").expect("the shipped example is tested")
    }
}
