//! Kinds of failure that have an exit code of their own.

use std::fmt;

/// The arguments make no sense.
pub const USAGE: u8 = 2;
/// The machine lacks something that xtask may not or cannot add.
pub const UNFIT: u8 = 3;

/// The user asked to stop.
pub const INTERRUPTED: u8 = 130;

/// There is no task of this name.
#[derive(Debug)]
pub struct UnknownTask {
    /// The name that was given.
    pub name: String,
    /// What could have been given.
    pub help: String,
}

/// The machine lacks something; says what, and the command that cures it. As the
/// context of another error it says what could not be done for want of it.
#[derive(Debug)]
pub struct Unfit(pub String);

/// The arguments of a task make no sense; says what would.
#[derive(Debug)]
pub struct Usage(pub String);

/// A manifest of a host cannot be used; says which, and what is wrong with it.
#[derive(Debug)]
pub struct BadManifest(pub String);

/// The user has asked to stop.
#[derive(Debug)]
pub struct Interrupted;

/// A command that was started ended with this code and has said why.
#[derive(Debug)]
pub struct CommandFailed(pub u8);

impl fmt::Display for UnknownTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown task `{}`\n\n{}",
            self.name,
            self.help.trim_end()
        )
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BadManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("interrupted")
    }
}

impl fmt::Display for CommandFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the command ended with exit code {}", self.0)
    }
}

impl std::error::Error for UnknownTask {}
impl std::error::Error for Unfit {}
impl std::error::Error for Usage {}
impl std::error::Error for BadManifest {}
impl std::error::Error for Interrupted {}
impl std::error::Error for CommandFailed {}

/// The exit code for an error, whatever was added to it as context.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if let Some(CommandFailed(code)) = error.downcast_ref() {
        *code
    } else if error.is::<Interrupted>() {
        INTERRUPTED
    } else if error.is::<UnknownTask>()
        || error.is::<lexopt::Error>()
        || error.is::<Usage>()
        || error.is::<BadManifest>()
    {
        USAGE
    } else if error.is::<Unfit>() {
        UNFIT
    } else {
        1
    }
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

    #[test]
    fn a_cause_stays_below_what_the_machine_lacks() {
        let error = anyhow::anyhow!("`apt-get` failed").context(Unfit("no packages".into()));
        assert_eq!(exit_code(&error), UNFIT);
        assert_eq!(format!("{error:#}"), "no packages: `apt-get` failed");
    }
}
