//! The `lanfence` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    lanfence::cli::main()
}
