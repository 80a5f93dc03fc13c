//! The manifests that come with lanfence, for images that nobody may ship.

use super::manifest::Manifest;
use std::path::Path;

macro_rules! manifests {
    ($($file:literal),+ $(,)?) => {
        [$(($file, include_str!(concat!("../../../images/", $file)))),+]
    };
}

const SHIPPED: [(&str, &str); 5] = manifests![
    "windows-2003.toml",
    "windows-xp.toml",
    "windows-7.toml",
    "reactos.toml",
    "freedos.toml",
];

/// All of them, in the order of the matrix.
pub fn shipped() -> Vec<Manifest> {
    let parse = |(file, text): (&str, &str)| {
        Manifest::parse(text, file, Path::new("")).expect("the shipped manifests are tested")
    };
    SHIPPED.into_iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::foreign::ImageSource;
    use crate::guest::quirk;

    #[test]
    fn each_names_a_variable_and_models_that_exist() {
        for manifest in shipped() {
            let wanted = manifest.name.to_uppercase().replace('-', "_");
            let wanted = ImageSource::Variable(format!("LANFENCE_IMAGE_{wanted}"));
            assert_eq!(manifest.origin, wanted);
            for nic in &manifest.nics {
                assert_eq!(quirk(nic).name, nic, "{}", manifest.name);
            }
        }
    }
}
