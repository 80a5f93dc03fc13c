//! What the lab has answered is kept: the same libvirt, tools and kernel make the same rules of
//! the same filter. An audit of a host that has not changed then makes no lab.

use super::kernel::InterfaceRules;
use crate::frame::to_hex;
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where root keeps it (hier(7)).
const DIRECTORY: &str = "/var/cache/lanfence";

/// Names another directory, as for the other caches of lanfence.
const VARIABLE: &str = "LANFENCE_CACHE";

/// What makes rules beside libvirt: other versions may make or print others.
const TOOLS: [(&str, &str); 2] = [("iptables", "--version"), ("nft", "--version")];

/// Grows with each change of how rules are written down here: older ones are asked for anew.
const FORMAT: u32 = 2;

/// The cache; without a directory it keeps nothing.
#[derive(Debug, Default, Clone)]
pub struct RuleCache {
    directory: Option<PathBuf>,
    makers: String,
}

impl RuleCache {
    /// The cache of this user for a libvirt of this version.
    pub fn of_host(libvirt: u32) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let mut makers = format!("{version} format {FORMAT} libvirt {libvirt}\n");
        makers += &std::fs::read_to_string("/proc/version").unwrap_or_default();
        for (program, option) in TOOLS {
            let output = Command::new(program)
                .arg(option)
                .env("PATH", crate::pool::search_path())
                .output();
            let said = output.map(|output| output.stdout).unwrap_or_default();
            makers += &String::from_utf8_lossy(&said);
        }
        let named = std::env::var_os(VARIABLE).map(PathBuf::from);
        let of_root = || nix::unistd::geteuid().is_root().then(|| DIRECTORY.into());
        Self {
            directory: named.or_else(of_root).map(|dir: PathBuf| dir.join("rules")),
            makers,
        }
    }

    /// The file of a question.
    fn file(&self, question: &str) -> Option<PathBuf> {
        let mut hash = Sha256::new();
        for part in [&self.makers, question] {
            hash.update(part.len().to_be_bytes());
            hash.update(part);
        }
        let name = to_hex(&hash.finalize());
        Some(self.directory.as_ref()?.join(name + ".json"))
    }

    /// What is known.
    pub fn get(&self, question: &str) -> Option<InterfaceRules> {
        let text = std::fs::read_to_string(self.file(question)?).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// Keeps an answer. That it cannot be kept costs time only.
    pub fn put(&self, question: &str, rules: &InterfaceRules) {
        if let Some(file) = self.file(question) {
            let text = serde_json::to_string(rules).expect("strings only");
            let _ = write(&file, &text);
        }
    }
}

/// Writes a file whole or not at all.
fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let beside = file.with_extension(format!("{}.new", std::process::id()));
    if let Some(directory) = file.parent() {
        std::fs::create_dir_all(directory)?;
    }
    std::fs::write(&beside, text)?;
    std::fs::rename(&beside, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_versions_have_other_answers() {
        let dir = tempfile::tempdir().unwrap();
        let cache = |makers: &str| RuleCache {
            directory: Some(dir.path().join("rules")),
            makers: makers.to_owned(),
        };
        let rules = InterfaceRules {
            rebuilding: true,
            ..InterfaceRules::default()
        };
        let old = cache("libvirt 9");
        assert_eq!(old.get("question"), None);
        old.put("question", &rules);
        assert_eq!(old.get("question"), Some(rules));
        assert_eq!(old.get("another"), None);
        assert_eq!(cache("libvirt 11").get("question"), None);
        // What was cut short is asked again.
        std::fs::write(old.file("question").unwrap(), "{").unwrap();
        assert_eq!(old.get("question"), None);
        assert_eq!(RuleCache::default().get("question"), None);
    }
}
