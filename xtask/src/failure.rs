//! The kinds of failure that have an exit code of their own.

use std::fmt;

/// The arguments make no sense.
pub const USAGE: u8 = 2;
/// The machine lacks something that xtask may not or cannot add.
pub const UNFIT: u8 = 3;

/// The arguments make no sense; says how they should look.
#[derive(Debug)]
pub struct Usage(pub String);

/// The machine lacks something; says what, and the command that cures it.
#[derive(Debug)]
pub struct Unfit(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}
impl std::error::Error for Unfit {}

/// The exit code for an error, found by its root kind.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<Usage>() {
        USAGE
    } else if error.is::<Unfit>() {
        UNFIT
    } else {
        1
    }
}

/// Turns what `lexopt` says about an argument into a usage error.
pub fn usage(error: &lexopt::Error) -> anyhow::Error {
    Usage(error.to_string()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn the_kind_survives_context() {
        let error = Err::<(), _>(Unfit("no libvirtd".into()))
            .context("while setting up")
            .expect_err("made to fail");
        assert_eq!(exit_code(&error), UNFIT);
        assert_eq!(exit_code(&anyhow::anyhow!("other")), 1);
    }
}
