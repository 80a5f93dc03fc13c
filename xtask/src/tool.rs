//! Running other programs: every failure says which command failed and why.

use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Directories that hold administrators' programs and are missing from an
/// ordinary user's PATH on Debian.
const ADMIN_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The language of children. A full disk shows only in what they write to standard
/// error, so [`checked`] has to know the words.
const LANGUAGE: (&str, &str) = ("LC_ALL", "C.UTF-8");

/// Where a program is, looking into PATH and the administrators' directories.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(ADMIN_DIRECTORIES.iter().map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    file.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The files of a directory with this extension; none where it cannot be read.
pub fn files(directory: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect()
}

/// The command as one line that a shell would understand.
pub fn shell_line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quote)
        .collect::<Vec<_>>()
        .join(" ")
}

/// PATH with the administrators' directories, which an ordinary user's lacks.
pub fn administrators_path() -> OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let all = env::split_paths(&path).chain(ADMIN_DIRECTORIES.iter().map(PathBuf::from));
    env::join_paths(all).unwrap_or(path)
}

/// A word as a shell reads it.
pub fn quoted_for_shell(word: &OsStr) -> String {
    quote(word)
}

fn quote(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:+~,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Runs a command to its end and returns what it printed; a failure carries
/// what it wrote to its standard error.
///
/// # Errors
///
/// If the command cannot be started or fails.
pub fn output(command: &mut Command) -> Result<Vec<u8>> {
    let line = shell_line(command);
    let output = command
        .env(LANGUAGE.0, LANGUAGE.1)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{line}`"))?;
    checked(&line, output)
}

/// Gives the command its input and returns what it printed.
///
/// # Errors
///
/// If the command cannot be started or fails.
pub fn filter(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    use std::io::Write as _;
    let line = shell_line(command);
    let mut child = command
        .env(LANGUAGE.0, LANGUAGE.1)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{line}`"))?;
    let mut pipe = child.stdin.take().expect("standard input is piped");
    let output = std::thread::scope(|scope| {
        // A program that gives up early closes its input: its own message and
        // exit code say more than our broken pipe.
        scope.spawn(move || {
            let _ = pipe.write_all(input);
        });
        child.wait_with_output()
    })
    .with_context(|| format!("cannot read from `{line}`"))?;
    checked(&line, output)
}

/// Connects two commands with a pipe and waits for both.
///
/// # Errors
///
/// If a command cannot be started or fails; if both fail, the second one's failure.
pub fn pipe(from: &mut Command, into: &mut Command) -> Result<()> {
    let (from_line, into_line) = (shell_line(from), shell_line(into));
    let mut source = from
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot run `{from_line}`"))?;
    let stdout = source.stdout.take().expect("standard output is piped");
    let sink = into
        .env(LANGUAGE.0, LANGUAGE.1)
        .stdin(stdout)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .with_context(|| format!("cannot run `{into_line}`"));
    let status = source
        .wait()
        .with_context(|| format!("cannot wait for `{from_line}`"))?;
    // The reader's failure is the cause of the writer's broken pipe.
    checked(&into_line, sink?)?;
    if !status.success() {
        bail!("`{from_line}` failed ({status})");
    }
    Ok(())
}

fn checked(line: &str, output: Output) -> Result<Vec<u8>> {
    if output.status.success() {
        return Ok(output.stdout);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    if said.contains(Errno::ENOSPC.desc()) {
        return Err(std::io::Error::from(Errno::ENOSPC))
            .with_context(|| format!("`{line}` failed"));
    }
    bail!(
        "`{line}` failed ({}){}{}",
        output.status,
        if said.trim().is_empty() { "" } else { ": " },
        said.trim()
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::plain("libvirt-dev/bookworm-backports", "libvirt-dev/bookworm-backports")]
    #[case::blank("a b", "'a b'")]
    #[case::quote("it's", r"'it'\''s'")]
    #[case::empty("", "''")]
    fn words_are_quoted_for_a_shell(#[case] word: &str, #[case] quoted: &str) {
        assert_eq!(quote(OsStr::new(word)), quoted);
    }

    #[test]
    fn a_failure_carries_the_message_of_the_program() {
        let error = output(Command::new("sh").args(["-c", "echo broken >&2; exit 7"]))
            .expect_err("exits with 7");
        let text = format!("{error:#}");
        assert!(text.contains("broken") && text.contains('7'), "{text}");
    }

    #[test]
    fn a_filter_passes_more_than_a_pipe_holds() {
        let input = vec![b'x'; 1 << 20];
        assert_eq!(
            filter(&mut Command::new("cat"), &input).expect("cat"),
            input
        );
    }

    #[test]
    fn a_pipe_reports_the_reader_that_failed() {
        let error = pipe(
            Command::new("echo").arg("text"),
            Command::new("sh").args(["-c", "cat; echo full >&2; exit 3"]),
        )
        .expect_err("reader exits with 3");
        assert!(format!("{error:#}").contains("full"));
    }

    #[test]
    fn programs_are_found_by_name() {
        assert!(find("sh").is_some());
        assert!(find("no-such-program-anywhere").is_none());
    }
}
