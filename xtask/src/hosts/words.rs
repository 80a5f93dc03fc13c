//! The words behind `cargo xtask hosts`, taken one after the other.

use crate::failure::Usage;
use anyhow::{Result, bail};
use std::collections::VecDeque;
use std::ffi::OsString;

/// The program that is run in hosts.
pub const LANFENCE: &str = "lanfence";

/// What is left of the command line.
#[derive(Debug)]
pub struct Words {
    left: VecDeque<OsString>,
}

/// Wrong words: what is wrong, and where help is.
pub fn usage(what: &str) -> Usage {
    Usage(format!(
        "{what}; the verbs are list, build, run, shell, test, compare and bench, and `cargo xtask help \
         hosts` explains them"
    ))
}

impl From<Vec<OsString>> for Words {
    fn from(words: Vec<OsString>) -> Words {
        Words { left: words.into() }
    }
}

impl Words {
    /// The next word, which is `what`.
    ///
    /// # Errors
    ///
    /// [`Usage`] if there is none, or it is an option or no text.
    pub fn next(&mut self, what: &str) -> Result<String> {
        match self.left.pop_front().map(OsString::into_string) {
            Some(Ok(word)) if !word.starts_with('-') => Ok(word),
            Some(word) => {
                let word = word.unwrap_or_else(|word| word.display().to_string());
                bail!(usage(&format!("`{word}` stands where {what} belongs")))
            }
            None => bail!(usage(&format!("{what} is missing"))),
        }
    }

    /// Whether the flag stands at the front or the end.
    pub fn flag(&mut self, flag: &str) -> bool {
        for at in [0, self.left.len().saturating_sub(1)] {
            if self.left.get(at).is_some_and(|word| word == flag) {
                self.left.remove(at);
                return true;
            }
        }
        false
    }

    /// Whether the flag stands at the front; it is taken then.
    pub fn first_is(&mut self, flag: &str) -> bool {
        let is_first = self.left.front().is_some_and(|word| word == flag);
        if is_first {
            self.left.pop_front();
        }
        is_first
    }

    /// Whether one of these options stands before the command, which has options of its own.
    pub fn has_before_command(&self, options: &[&str]) -> bool {
        let mut words = self.left.iter().take_while(|word| *word != "--");
        words.any(|word| {
            let word = word.to_string_lossy();
            let name = word.split_once('=').map_or(&*word, |(name, _)| name);
            options.contains(&name)
        })
    }

    /// The value of an option that stands at the front.
    ///
    /// # Errors
    ///
    /// [`Usage`] if the option has no value.
    pub fn value(&mut self, option: &str) -> Result<Option<String>> {
        if self.left.front().is_none_or(|word| word != option) {
            return Ok(None);
        }
        self.left.pop_front();
        self.next(&format!("the value of {option}")).map(Some)
    }

    /// What is left: a command, perhaps behind `--`.
    ///
    /// # Errors
    ///
    /// [`Usage`] if nothing is left.
    pub fn command(mut self, what: &str) -> Result<Vec<OsString>> {
        if self.left.front().is_some_and(|word| word == "--") {
            self.left.pop_front();
        }
        if self.left.is_empty() {
            bail!(usage(&format!("{what} is missing")));
        }
        Ok(self.left.into())
    }

    /// What is left: plain words.
    ///
    /// # Errors
    ///
    /// [`Usage`] for an option.
    pub fn rest(mut self) -> Result<Vec<String>> {
        let mut rest = Vec::new();
        while !self.left.is_empty() {
            rest.push(self.next("the name of a host")?);
        }
        Ok(rest)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    ///
    /// [`Usage`] otherwise.
    pub fn end(self) -> Result<()> {
        match self.left.front() {
            None => Ok(()),
            Some(word) => bail!(usage(&format!("`{}` is one word too many", word.display()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn words(text: &str) -> Words {
        Words::from(
            text.split_whitespace()
                .map(OsString::from)
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn a_command_keeps_its_own_options() {
        let mut words = words("debian-13 --user tester -- verify --user x --");
        assert_eq!(words.next("a host").expect("there"), "debian-13");
        let user = words.value("--user").expect("has a value");
        assert_eq!(user.as_deref(), Some("tester"));
        let command = words.command("a command").expect("there");
        assert_eq!(command, ["verify", "--user", "x", "--"]);
    }

    #[rstest]
    #[case::first("--fresh debian-13")]
    #[case::last("debian-13 --fresh")]
    fn a_flag_stands_on_either_side(#[case] text: &str) {
        let mut words = words(text);
        assert!(words.flag("--fresh"));
        assert_eq!(words.next("a host").expect("there"), "debian-13");
        words.end().expect("nothing is left");
    }

    #[rstest]
    #[case::first("--baseline f a b -- verify", true)]
    #[case::with_an_equals_sign("a b --baseline=f -- verify", true)]
    #[case::of_the_command("a b -- verify --baseline f", false)]
    fn an_option_of_the_command_is_left_to_it(#[case] text: &str, #[case] has: bool) {
        assert_eq!(words(text).has_before_command(&["--baseline"]), has);
    }

    #[rstest]
    #[case::missing("", "a host is missing")]
    #[case::option("--frob", "`--frob` stands where a host belongs")]
    fn what_is_wrong_is_named(#[case] text: &str, #[case] expected: &str) {
        let error = words(text).next("a host").expect_err("wrong");
        assert_eq!(crate::failure::exit_code(&error), crate::failure::USAGE);
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}
