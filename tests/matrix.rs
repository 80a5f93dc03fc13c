//! Every cell of the full matrix as a test of its own, for `cargo test` and
//! `cargo nextest` alike: `cargo test --test matrix -- --ignored linux/e1000`.
//!
//! The cells of a plain `lanfence verify` are run by default, and one whose device is
//! without reception while it joins a multicast group (e1000), which is therefore asked in another order; the
//! others on demand. A test harness knows no skipping with a reason, so cells that cannot
//! run here are no tests: `lanfence verify --matrix full --list` says why.

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use std::process::{Command, ExitCode};

/// Cells that are run without being asked for.
const DEFAULT: [&str; 3] = ["linux/pcnet", "linux/virtio", "linux/e1000"];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    match cells() {
        Ok(trials) => libtest_mimic::run(&arguments, trials).exit_code(),
        Err(why) => {
            eprintln!("the matrix cannot be listed: {why}");
            ExitCode::FAILURE
        }
    }
}

fn verify() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lanfence"));
    command
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["verify", "--accel", "tcg", "--matrix", "full"]);
    command
}

/// Asks the program for its cells.
fn cells() -> Result<Vec<Trial>, String> {
    let output = verify()
        .args(["--list", "--format", "json"])
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let list: Value = serde_json::from_slice(&output.stdout).map_err(|error| error.to_string())?;
    let cells = list["cells"].as_array().ok_or("no `cells` in the list")?;
    let trial = |cell: &Value| {
        let name = cell["name"].as_str().unwrap_or_default().to_owned();
        let default = DEFAULT.contains(&name.as_str());
        Trial::test(name.clone(), move || prove(&name)).with_ignored_flag(!default)
    };
    Ok(cells.iter().map(trial).collect())
}

/// Runs one cell; whatever is not green fails with what was printed.
fn prove(cell: &str) -> Result<(), Failed> {
    let output = verify().args(["--cell", cell]).output()?;
    if output.status.success() {
        return Ok(());
    }
    let (out, err) = (&output.stdout, &output.stderr);
    let printed = [out, err].map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    Err(Failed::from(printed.join("\n")))
}
