//! Whether to colour, and how.

/// What the user asked for on the command line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Choice {
    /// Decide by environment and terminal.
    #[default]
    Auto,
    /// Colour.
    Always,
    /// No colour.
    Never,
}

/// What the surroundings say. The variables as they are set, none when unset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Surroundings<'a> {
    /// `NO_COLOR`; any text but the empty one means no (no-color.org).
    pub no_color: Option<&'a str>,
    /// `CLICOLOR_FORCE`; any text but `0` and the empty one means yes.
    pub clicolor_force: Option<&'a str>,
    /// `FORCE_COLOR`; the same, and `false` means nothing as well.
    pub force_color: Option<&'a str>,
    /// Whether the output is a terminal that understands ANSI (so not `TERM=dumb`).
    pub terminal: bool,
}

/// Decides: flag, then `NO_COLOR`, then `CLICOLOR_FORCE` or `FORCE_COLOR`, then the terminal.
pub fn wanted(choice: Choice, around: Surroundings<'_>) -> bool {
    let forces = |value: Option<&str>| !matches!(value, None | Some("" | "0" | "false"));
    match choice {
        Choice::Always => true,
        Choice::Never => false,
        Choice::Auto if around.no_color.is_some_and(|value| !value.is_empty()) => false,
        Choice::Auto if forces(around.clicolor_force) || forces(around.force_color) => true,
        Choice::Auto => around.terminal,
    }
}

/// Wraps text in ANSI colours, or leaves it alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

impl Paint {
    pub(super) fn red(self, text: &str) -> String {
        self.sgr("1;31", text)
    }

    pub(super) fn green(self, text: &str) -> String {
        self.sgr("32", text)
    }

    pub(super) fn yellow(self, text: &str) -> String {
        self.sgr("33", text)
    }

    pub(super) fn bold(self, text: &str) -> String {
        self.sgr("1", text)
    }

    fn sgr(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    const PIPE: Surroundings<'_> = Surroundings {
        no_color: None,
        clicolor_force: None,
        force_color: None,
        terminal: false,
    };
    const TERMINAL: Surroundings<'_> = Surroundings {
        terminal: true,
        ..PIPE
    };

    #[rstest]
    #[case::pipe(Choice::Auto, PIPE, false)]
    #[case::terminal(Choice::Auto, TERMINAL, true)]
    #[case::never_beats_force(Choice::Never, Surroundings { force_color: Some("1"), ..TERMINAL }, false)]
    #[case::always_beats_no_color(Choice::Always, Surroundings { no_color: Some("1"), ..PIPE }, true)]
    #[case::no_color_beats_force(Choice::Auto, Surroundings { no_color: Some("1"), clicolor_force: Some("1"), ..TERMINAL }, false)]
    #[case::empty_no_color_is_unset(Choice::Auto, Surroundings { no_color: Some(""), ..TERMINAL }, true)]
    #[case::clicolor_force_beats_pipe(Choice::Auto, Surroundings { clicolor_force: Some("1"), ..PIPE }, true)]
    #[case::clicolor_force_0_is_unset(Choice::Auto, Surroundings { clicolor_force: Some("0"), ..PIPE }, false)]
    #[case::force_color_beats_pipe(Choice::Auto, Surroundings { force_color: Some("3"), ..PIPE }, true)]
    fn precedence(
        #[case] choice: Choice,
        #[case] around: Surroundings<'_>,
        #[case] expected: bool,
    ) {
        assert_eq!(wanted(choice, around), expected);
    }
}
