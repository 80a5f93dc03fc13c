//! Maps a range of user and group ids into a new user namespace.

use super::error::{LabError, ProgramFault};
use super::programs;
use nix::unistd::{Gid, Uid, User};
use std::io::{BufRead as _, Write as _};
use std::process::{Child, Command, Stdio};

/// How many ids the lab needs besides its own: Debian's highest system id in
/// use by libvirt's packages is 64055 (libvirt-qemu), the usual range is 65536.
const ENOUGH: u64 = 65536;

/// A range of subordinate ids from /etc/subuid or /etc/subgid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    start: u64,
    count: u64,
}

/// The set-uid helpers newuidmap and newgidmap must be called from the parent
/// namespace, so a shell is started before the split and waits for a line.
pub struct Mapper {
    child: Child,
}

const SCRIPT: &str =
    r#"read -r go && newuidmap "$1" 0 "$2" 1 1 "$3" "$4" && newgidmap "$1" 0 "$5" 1 1 "$6" "$7""#;

impl Mapper {
    /// Finds the ranges and starts the helper.
    pub fn start() -> Result<Self, LabError> {
        let uid = Uid::current();
        let name = User::from_uid(uid)
            .ok()
            .flatten()
            .map_or_else(|| uid.to_string(), |user| user.name);
        let uids = find("/etc/subuid", &name, uid.as_raw())?;
        let gids = find("/etc/subgid", &name, uid.as_raw())?;
        for program in ["newuidmap", "newgidmap"] {
            if programs::find(program).is_none() {
                return Err(LabError::host(
                    format!("{program} is not installed"),
                    "`sudo apt-get install uidmap`, or run as root",
                ));
            }
        }
        let numbers = [
            u64::from(std::process::id()),
            u64::from(uid.as_raw()),
            uids.start,
            uids.count,
            u64::from(Gid::current().as_raw()),
            gids.start,
            gids.count,
        ];
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "idmap"])
            .args(numbers.map(|number| number.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|source| LabError::system("start sh for newuidmap", source))?;
        Ok(Self { child })
    }

    /// Maps the ids into the namespace that the caller has just made.
    pub fn map(mut self) -> Result<(), LabError> {
        let told = self
            .child
            .stdin
            .take()
            .map(|mut stdin| stdin.write_all(b"go\n"));
        let output = self
            .child
            .wait_with_output()
            .map_err(|source| LabError::system("wait for newuidmap", source))?;
        if output.status.success() && told.is_some_and(|told| told.is_ok()) {
            return Ok(());
        }
        Err(LabError::host_because(
            "newuidmap or newgidmap refused",
            ProgramFault::of(&output),
            "check /etc/subuid and /etc/subgid for your user and that newuidmap is set-uid root, or run as root",
        ))
    }
}

fn find(file: &str, name: &str, uid: u32) -> Result<Range, LabError> {
    let cure = format!(
        "`sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name}`, or run as root"
    );
    let opened = std::fs::File::open(file).map_err(|error| {
        LabError::host_because(
            format!("the lab needs a range of subordinate ids, and {file} cannot be read"),
            error,
            cure.clone(),
        )
    })?;
    let ranges = std::io::BufReader::new(opened)
        .lines()
        .map_while(Result::ok)
        .filter_map(|line| parse(&line, name, uid));
    let best = ranges.max_by_key(|range| range.count);
    best.filter(|range| range.count >= ENOUGH).ok_or_else(|| {
        let found = best.map_or_else(
            || "no range".to_owned(),
            |range| format!("only {} ids", range.count),
        );
        LabError::host(
            format!("{file} has {found} for {name}; the lab needs {ENOUGH} subordinate ids"),
            cure,
        )
    })
}

/// One line of subuid(5): `name-or-uid:start:count`.
fn parse(line: &str, name: &str, uid: u32) -> Option<Range> {
    let mut parts = line.trim().split(':');
    let owner = parts.next()?;
    if owner != name && owner != uid.to_string() {
        return None;
    }
    let start = parts.next()?.parse().ok()?;
    let count = parts.next()?.parse().ok()?;
    Some(Range { start, count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::by_name("ann:100000:65536", Some((100_000, 65536)))]
    #[case::by_uid("1000:200000:65536", Some((200_000, 65536)))]
    #[case::another_user("bob:100000:65536", None)]
    #[case::a_prefix_of_the_name("an:100000:65536", None)]
    #[case::not_a_number("ann:x:65536", None)]
    #[case::cut("ann:100000", None)]
    fn subuid_lines(#[case] line: &str, #[case] expected: Option<(u64, u64)>) {
        assert_eq!(
            parse(line, "ann", 1000),
            expected.map(|(start, count)| Range { start, count })
        );
    }

    #[test]
    fn a_missing_range_names_the_cure() {
        let error = find("/etc/hostname", "ann", 1000).expect_err("no range in there");
        assert!(
            error.to_string().contains("usermod --add-subuids"),
            "{error}"
        );
    }
}
