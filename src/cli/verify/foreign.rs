//! Foreign guests on the command line: manifests, the cells they make, their images.

use crate::cli::Failure;
use crate::guest::foreign::{Manifest, Origin, shipped};
use crate::guest::{Nic, find};
use crate::verify::GuestKind;
use crate::verify::job::{CellPlan, ForeignSource};
use crate::verify::plan::Entry;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The user's manifests and then those that come with lanfence, each name once.
pub fn manifests(files: &[PathBuf]) -> Result<Vec<Manifest>, Failure> {
    let mut all: Vec<Manifest> = Vec::new();
    for file in files {
        let manifest = Manifest::read(file).map_err(Failure::usage)?;
        if all.iter().any(|other| other.name == manifest.name) {
            let (file, name) = (file.display(), manifest.name);
            return Err(Failure::usage(format!(
                "{file}: another manifest has the name `{name}` too\n  cure: rename one of them"
            )));
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
pub fn entries(manifests: &[Manifest], all: &[Nic]) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for manifest in manifests {
        let missing = unset(manifest, |name| std::env::var_os(name));
        for name in &manifest.nics {
            let nic = find(all, name)
                .map_err(|error| Failure::usage(format!("{}: {error}", manifest.name)))?;
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
        Origin::Variable(name) if var(name).is_none_or(|value| value.is_empty()) => Some(format!(
            "no image: {name}=FILE names yours of {}",
            about(manifest)
        )),
        Origin::Path(_) | Origin::Variable(_) => None,
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
pub fn images(manifests: Vec<Manifest>, cells: &[CellPlan]) -> Result<Vec<ForeignSource>, Failure> {
    let selected =
        |manifest: &Manifest| cells.iter().any(|cell| cell.guest.word() == manifest.name);
    let foreign = |manifest: Manifest| {
        let image = match &manifest.origin {
            Origin::Path(path) => path.clone(),
            Origin::Variable(name) => std::env::var_os(name).unwrap_or_default().into(),
        };
        let image = std::path::absolute(&image).map_err(Failure::usage)?;
        readable(&manifest, &image)?;
        Ok(ForeignSource { manifest, image })
    };
    manifests
        .into_iter()
        .filter(selected)
        .map(foreign)
        .collect()
}

fn readable(manifest: &Manifest, image: &Path) -> Result<(), Failure> {
    let Err(error) = std::fs::File::open(image) else {
        return Ok(());
    };
    let cure = match &manifest.origin {
        Origin::Path(_) => "mend `path` in its manifest".to_owned(),
        Origin::Variable(name) => format!("set {name} to the image's file"),
    };
    Err(Failure::usage(format!(
        "the image of {} cannot be opened: {}: {error}\n  cure: {cure}",
        manifest.name,
        image.display()
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

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
        assert_eq!(named[0].origin, Origin::Path(dir.path().join("x")));
        assert!(manifests(&[file.clone(), file]).is_err());
    }
}
