//! The evidence of a run, read for its page.

use super::failure::Failure;
use super::output::relative;
use crate::report::html::{Evidence, LARGEST};
use crate::report::model::Run;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

/// The files that --out left in a folder, for a page. One that is gone, large or no file is linked
/// only.
///
/// # Errors
/// When the current directory is gone.
pub fn read(run: &Run, page: &Path, folder: Option<&Path>) -> Result<Evidence, Failure> {
    let Some(folder) = folder else {
        return Ok(Evidence::default());
    };
    let paths = Evidence::paths(run).into_iter();
    let files: BTreeMap<String, Vec<u8>> = paths
        .filter_map(|path| Some((path.to_owned(), content(folder, path)?)))
        .collect();
    Ok(Evidence {
        folder: Some(relative(page, folder)?),
        files,
    })
}

/// A small file that lies in the folder itself: a report that somebody else wrote must not bring
/// others into the page through a link.
fn content(folder: &Path, path: &str) -> Option<Vec<u8>> {
    let folder = folder.canonicalize().ok()?;
    let path = folder.join(path).canonicalize().ok()?;
    let meta = path.symlink_metadata().ok()?;
    if !path.starts_with(&folder) || !meta.is_file() || meta.len() > LARGEST {
        return None;
    }
    let mut content = Vec::new();
    let file = File::open(&path).ok()?;
    file.take(LARGEST).read_to_end(&mut content).ok()?;
    Some(content)
}
