//! The options that every task understands.

use std::ffi::OsString;

/// How the tasks were asked to behave.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether package managers and downloads are forbidden.
    pub offline: bool,
}

impl Options {
    /// Takes `--offline` out of the arguments, wherever it stands before a `--`:
    /// what follows a `--` belongs to the command that the task starts.
    pub fn take_from(arguments: Vec<OsString>) -> (Options, Vec<OsString>) {
        let mut ours = true;
        let mut offline = false;
        let mut rest = Vec::with_capacity(arguments.len());
        for argument in arguments {
            ours &= argument != "--";
            if ours && argument == "--offline" {
                offline = true;
            } else {
                rest.push(argument);
            }
        }
        (Options { offline }, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    #[rstest]
    #[case::first("--offline verify --nic pcnet", true, "verify --nic pcnet")]
    #[case::last("verify --nic pcnet --offline", true, "verify --nic pcnet")]
    #[case::absent("verify --nic pcnet", false, "verify --nic pcnet")]
    #[case::not_ours("test -- --offline", false, "test -- --offline")]
    fn offline_is_taken_from_anywhere(
        #[case] given: &str,
        #[case] offline: bool,
        #[case] rest: &str,
    ) {
        let (options, arguments) = Options::take_from(words(given));
        assert_eq!(options.offline, offline);
        assert_eq!(arguments, words(rest));
    }
}
