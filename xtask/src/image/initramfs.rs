//! The guest's root file system as a newc archive that is the same byte for
//! byte whenever its content is: fixed times, owners and inode numbers, and
//! names in order.

use anyhow::{Context as _, Result};
use cpio::newc;
use std::collections::BTreeMap;
use std::io::Write as _;

const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

/// Something with a name in the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Node {
    Directory { mode: u32 },
    File { mode: u32, content: Vec<u8> },
    Symlink { target: String },
    Character { mode: u32, major: u32, minor: u32 },
}

/// A file system being put together.
#[derive(Debug, Default)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// Adds a directory; what leads there is added with mode 0755.
    pub fn directory(&mut self, path: &str, mode: u32) {
        self.insert(path, Node::Directory { mode });
    }

    /// Adds a file.
    pub fn file(&mut self, path: &str, mode: u32, content: impl Into<Vec<u8>>) {
        let content = content.into();
        self.insert(path, Node::File { mode, content });
    }

    /// Adds a symbolic link.
    pub fn symlink(&mut self, path: &str, target: &str) {
        let target = target.to_owned();
        self.insert(path, Node::Symlink { target });
    }

    /// Adds a character device.
    pub fn character(&mut self, path: &str, mode: u32, major: u32, minor: u32) {
        self.insert(path, Node::Character { mode, major, minor });
    }

    fn insert(&mut self, path: &str, node: Node) {
        let path = path.trim_matches('/');
        for (slash, _) in path.match_indices('/') {
            self.nodes
                .entry(path[..slash].to_owned())
                .or_insert(Node::Directory { mode: 0o755 });
        }
        self.nodes.insert(path.to_owned(), node);
    }

    /// The archive.
    ///
    /// # Errors
    ///
    /// If a file is larger than the format allows (4 GiB).
    pub fn archive(&self) -> Result<Vec<u8>> {
        let mut archive = Vec::new();
        // The kernel unpacks in the archive's order, and in byte order every
        // directory precedes what it holds.
        for (ino, (path, node)) in (1..).zip(&self.nodes) {
            archive = node
                .write(newc::Builder::new(path).ino(ino), archive)
                .with_context(|| format!("cannot put {path} into the initramfs"))?;
        }
        newc::trailer(archive).context("cannot end the initramfs")
    }
}

impl Node {
    fn write(&self, entry: newc::Builder, archive: Vec<u8>) -> Result<Vec<u8>> {
        let entry = entry.uid(0).gid(0).mtime(0).nlink(1);
        let (entry, content): (_, &[u8]) = match self {
            Node::Directory { mode } => (entry.mode(DIRECTORY | mode).nlink(2), &[]),
            Node::File { mode, content } => (entry.mode(REGULAR | mode), content),
            Node::Symlink { target } => (entry.mode(SYMLINK | 0o777), target.as_bytes()),
            Node::Character { mode, major, minor } => (
                entry
                    .mode(CHARACTER | mode)
                    .rdev_major(*major)
                    .rdev_minor(*minor),
                &[],
            ),
        };
        let size = u32::try_from(content.len()).context("newc files end at 4 GiB")?;
        let mut writer = entry.write(archive, size);
        writer.write_all(content)?;
        Ok(writer.finish()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(mut archive: &[u8]) -> Vec<(newc::Entry, Vec<u8>)> {
        let mut entries = Vec::new();
        loop {
            let reader = newc::Reader::new(archive).expect("well-formed");
            if reader.entry().is_trailer() {
                return entries;
            }
            let entry = reader.entry().clone();
            let mut content = Vec::new();
            archive = reader.to_writer(&mut content).expect("whole");
            entries.push((entry, content));
        }
    }

    #[test]
    fn the_order_of_building_leaves_no_trace() {
        let mut one = Tree::default();
        one.file("/init", 0o755, "x");
        one.symlink("/bin/sh", "busybox");
        one.character("/dev/console", 0o600, 5, 1);
        let mut two = Tree::default();
        two.character("/dev/console", 0o600, 5, 1);
        two.symlink("/bin/sh", "busybox");
        two.file("/init", 0o755, "x");
        assert_eq!(one.archive().expect("one"), two.archive().expect("two"));
    }

    #[test]
    fn entries_are_roots_and_timeless() {
        let mut tree = Tree::default();
        tree.file("/etc/passwd", 0o644, "root");
        for (index, (entry, _)) in entries(&tree.archive().expect("archive"))
            .iter()
            .enumerate()
        {
            assert_eq!((entry.uid(), entry.gid(), entry.mtime()), (0, 0, 0));
            assert_eq!(entry.ino() as usize, index + 1);
        }
    }

    #[test]
    fn directories_come_before_what_they_hold() {
        let mut tree = Tree::default();
        tree.file("/a/b/c", 0o600, "x");
        tree.file("/a-file", 0o600, "y");
        let archive = tree.archive().expect("archive");
        let names: Vec<_> = entries(&archive)
            .into_iter()
            .map(|(entry, _)| entry.name().to_owned())
            .collect();
        assert_eq!(names, ["a", "a-file", "a/b", "a/b/c"]);
    }

    #[test]
    fn nodes_keep_their_kind_and_content() {
        let mut tree = Tree::default();
        tree.symlink("/sh", "busybox");
        tree.character("/null", 0o666, 1, 3);
        tree.directory("/tmp", 0o1777);
        let archive = tree.archive().expect("archive");
        let entries = entries(&archive);
        let (null, _) = &entries[0];
        assert_eq!(
            (null.mode(), null.rdev_major(), null.rdev_minor()),
            (0o020_666, 1, 3)
        );
        let (link, target) = &entries[1];
        assert_eq!(
            (link.mode(), target.as_slice()),
            (0o120_777, &b"busybox"[..])
        );
        assert_eq!(entries[2].0.mode(), 0o041_777);
    }
}
