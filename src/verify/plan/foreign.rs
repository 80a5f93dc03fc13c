//! Foreign guests of a plan: manifests, the cells they make, their images.

use super::error::PlanError;
use super::select::Entry;
use crate::guest::GuestKind;
use crate::guest::foreign::{ImageSource, Manifest, shipped};
use crate::guest::{Nic, find};
use crate::verify::job::{CellPlan, ForeignSource};
use std::ffi::OsString;
use std::path::PathBuf;

/// The user's manifests and then those that come with lanfence, each name once.
///
/// # Errors
/// A manifest that cannot be used, or two of one name.
pub fn manifests(files: &[PathBuf]) -> Result<Vec<Manifest>, PlanError> {
    let mut all: Vec<Manifest> = Vec::new();
    for file in files {
        let manifest = Manifest::read(file)?;
        if all.iter().any(|other| other.name == manifest.name) {
            let (file, name) = (file.clone(), manifest.name);
            return Err(PlanError::SameName { file, name });
        }
        all.push(manifest);
    }
    let own = all.len();
    for manifest in shipped() {
        // A user's copy takes the place of what it was copied from.
        if all[..own].iter().all(|mine| mine.name != manifest.name) {
            all.push(manifest);
        }
    }
    Ok(all)
}

/// The cells of the manifests, with the reason where one cannot run here.
///
/// # Errors
/// [`PlanError::NicOfManifest`] when QEMU does not have a NIC model.
pub fn entries(manifests: &[Manifest], all: &[Nic]) -> Result<Vec<Entry>, PlanError> {
    let mut entries = Vec::new();
    for manifest in manifests {
        let missing = unset(manifest, |name| std::env::var_os(name));
        for name in &manifest.nics {
            let nic = find(all, name).map_err(|source| PlanError::NicOfManifest {
                guest: manifest.name.clone(),
                source,
            })?;
            entries.push(Entry {
                plan: CellPlan::new(GuestKind::Foreign(manifest.name.clone()), &nic.name),
                skip: nic.plug_skip.clone().or_else(|| missing.clone()),
            });
        }
    }
    Ok(entries)
}

/// How to supply the image; none where it is supplied.
fn unset(manifest: &Manifest, var: impl Fn(&str) -> Option<OsString>) -> Option<String> {
    match &manifest.origin {
        ImageSource::Variable(name) if var(name).is_none_or(|value| value.is_empty()) => Some(
            format!("no image: {name}=FILE names yours of {}", about(manifest)),
        ),
        ImageSource::Path(_) | ImageSource::Variable(_) => None,
    }
}

fn about(manifest: &Manifest) -> &str {
    if manifest.about.is_empty() {
        &manifest.name
    } else {
        &manifest.about
    }
}

/// The foreign guests of the selected cells, their images there and readable.
///
/// # Errors
/// [`PlanError::Image`] for an image that cannot be opened.
pub fn images(
    manifests: Vec<Manifest>,
    cells: &[CellPlan],
) -> Result<Vec<ForeignSource>, PlanError> {
    let selected =
        |manifest: &Manifest| cells.iter().any(|cell| cell.guest.word() == manifest.name);
    let foreign = |manifest: Manifest| {
        let image = match &manifest.origin {
            ImageSource::Path(path) => path.clone(),
            ImageSource::Variable(name) => std::env::var_os(name).unwrap_or_default().into(),
        };
        let opened =
            std::path::absolute(&image).and_then(|path| std::fs::File::open(&path).map(|_| path));
        match opened {
            Ok(image) => Ok(ForeignSource { manifest, image }),
            Err(source) => Err(PlanError::Image {
                guest: manifest.name.clone(),
                path: image,
                source,
                cure: cure(&manifest.origin),
            }),
        }
    };
    manifests
        .into_iter()
        .filter(selected)
        .map(foreign)
        .collect()
}

/// How to have an image that can be opened.
fn cure(origin: &ImageSource) -> String {
    match origin {
        ImageSource::Path(_) => "correct `path` in its manifest".to_owned(),
        ImageSource::Variable(name) => format!("set {name} to the image's file"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use std::path::Path;

    fn manifest(origin: &str) -> Manifest {
        let text = format!("name = \"x\"\n{origin}\nnics = [\"pcnet\"]\ndeadline-s = 9\n");
        Manifest::parse(&text, "x.toml", Path::new("")).expect("a good manifest")
    }

    #[rstest]
    #[case::path("path = \"x\"", None, false)]
    #[case::set("variable = \"V\"", Some("/disk"), false)]
    #[case::empty("variable = \"V\"", Some(""), true)]
    #[case::unset("variable = \"V\"", None, true)]
    fn an_image_that_is_not_supplied_is_asked_for(
        #[case] origin: &str,
        #[case] value: Option<&str>,
        #[case] skipped: bool,
    ) {
        let reason = unset(&manifest(origin), |_| value.map(OsString::from));
        assert_eq!(reason.is_some(), skipped);
        assert!(reason.is_none_or(|reason| reason == "no image: V=FILE names yours of x"));
    }

    #[test]
    fn a_copy_takes_the_place_of_the_shipped_manifest() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("mine.toml");
        let text = "name = \"reactos\"\npath = \"x\"\nnics = [\"pcnet\"]\ndeadline-s = 9\n";
        std::fs::write(&file, text).expect("writes");
        let all = manifests(std::slice::from_ref(&file)).expect("good manifests");
        let named: Vec<&Manifest> = all.iter().filter(|one| one.name == "reactos").collect();
        assert_eq!(named.len(), 1);
        assert_eq!(named[0].origin, ImageSource::Path(dir.path().join("x")));
        assert!(manifests(&[file.clone(), file]).is_err());
    }
}
