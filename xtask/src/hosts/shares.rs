//! The directories that a host is handed, and where it mounts them.

use super::qemu::{Access, Share};
use std::path::{Path, PathBuf};

/// Where the host mounts all but the user's directory. Not below /run, /var/lib or /var/log, of
/// which lanfence's lab has its own.
pub const MOUNTS: &str = "/srv/lanfence";

/// Directories that a host has itself: the user's own is then mounted elsewhere.
const SYSTEM: [&str; 13] = [
    "/", "/bin", "/boot", "/dev", "/etc", "/lib", "/lib64", "/proc", "/run", "/sbin", "/sys",
    "/usr", "/var",
];

/// Nobody but root enters it, in the host as here.
const ROOT: &str = "/root";

/// What is shared with a host. The tags are the same in each, or a saved host could not be
/// restored with them.
#[derive(Debug, Clone)]
pub struct Shares {
    /// The run's own directory: the command comes that way, and its output goes.
    pub run: PathBuf,
    /// What outlives runs.
    pub kept: PathBuf,
    /// The programs.
    pub programs: PathBuf,
    /// The guest image.
    pub guest: PathBuf,
    /// libvirt's own filters.
    pub filters: PathBuf,
    /// Where the user stands.
    pub work: PathBuf,
}

impl Shares {
    /// Nothing to share yet: all are the run's own directory.
    pub fn none(run: &Path) -> Shares {
        Shares {
            run: run.to_owned(),
            kept: run.to_owned(),
            programs: run.to_owned(),
            guest: run.to_owned(),
            filters: run.to_owned(),
            work: run.to_owned(),
        }
    }

    /// As QEMU is told.
    pub fn all(&self) -> Vec<Share> {
        let share = |tag, path: &Path, access| Share {
            tag,
            path: path.to_owned(),
            access,
        };
        vec![
            share("run", &self.run, Access::Write),
            share("kept", &self.kept, Access::WriteMapped),
            share("programs", &self.programs, Access::Read),
            share("guest", &self.guest, Access::Read),
            share("filters", &self.filters, Access::Read),
            share("work", &self.work, Access::Write),
        ]
    }

    /// Where the host mounts the user's directory: at the same path, so that every path below it
    /// means the same, unless the host has that directory itself.
    pub fn work_in_host(&self) -> PathBuf {
        let own = SYSTEM.iter().any(|it| self.work == Path::new(it));
        if self.work.is_absolute() && !own && !self.work.starts_with(ROOT) {
            self.work.clone()
        } else {
            Path::new(MOUNTS).join("work")
        }
    }

    /// The script that mounts them.
    pub fn mount_script(&self) -> String {
        let work = crate::tool::quoted_for_shell(self.work_in_host().as_os_str());
        format!(
            "exec >/dev/ttyS0 2>&1\nset -e\nexport PATH=/usr/sbin:/usr/bin:/sbin:/bin\n\
             m() {{ mkdir -p \"$2\"; mount -t 9p -o trans=virtio,version=9p2000.L,msize=512000,$3 \"$1\" \"$2\"; }}\n\
             m run {MOUNTS}/run cache=none\n\
             m kept {MOUNTS}/kept cache=mmap\n\
             m programs {MOUNTS}/programs cache=loose,ro\n\
             m guest {MOUNTS}/guest cache=loose,ro\n\
             m filters {MOUNTS}/filters cache=loose,ro\n\
             m work {work} cache=mmap\n"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::home("/home/a/filters", "/home/a/filters")]
    #[case::of_the_host("/usr", "/srv/lanfence/work")]
    #[case::top("/", "/srv/lanfence/work")]
    #[case::of_root(&format!("{ROOT}/filters"), "/srv/lanfence/work")]
    fn the_users_directory_keeps_its_path(#[case] here: &str, #[case] there: &str) {
        let shares = Shares {
            work: PathBuf::from(here),
            ..Shares::none(Path::new("/x"))
        };
        assert_eq!(shares.work_in_host(), Path::new(there));
    }
}
