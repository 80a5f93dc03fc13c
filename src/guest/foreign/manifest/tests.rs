use super::*;
use proptest::prelude::*;
use rstest::rstest;

const LEAST: &str = "name = \"x\"\npath = \"disk.img\"\nnics = [\"pcnet\"]\ndeadline-s = 60\n";

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(text, "x.toml", Path::new("/images"))
}

#[test]
fn the_least_manifest() {
    let manifest = parse(LEAST).unwrap();
    assert_eq!(manifest.origin, Origin::Path("/images/disk.img".into()));
    assert_eq!((manifest.bus, manifest.medium), (Bus::Ide, Medium::Disk));
    assert_eq!(manifest.expect.dhcp, Dhcp::Bound);
    assert_eq!(manifest.expect.wan, Wan::Any);
}

#[rstest]
#[case::unknown_key("memmory-mib = 3")]
#[case::unknown_expectation("[expect]\narpp = \"seen\"")]
#[case::unknown_word("medium = \"cdrm\"")]
#[case::both_origins("variable = \"X\"")]
#[case::bad_sum("sha256 = \"abc\"")]
#[case::too_long("deadline-s = 60")]
#[case::no_memory("memory-mib = 0")]
#[case::negative("linger-s = -1")]
#[case::cd_on_virtio("medium = \"cdrom\"\nbus = \"virtio\"")]
#[case::ide_on_q35("machine = \"q35\"\nbus = \"ide\"")]
#[case::disk_on_fdc("bus = \"fdc\"")]
fn refused(#[case] line: &str) {
    let error = parse(&format!("{LEAST}{line}\n")).unwrap_err();
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let case = name.rsplit("::").next().unwrap_or_default();
    insta::assert_snapshot!(case.to_owned(), error.to_string());
}

#[rstest]
#[case::taken_name("name = \"linux\"\npath = \"x\"\nnics = [\"pcnet\"]\ndeadline-s = 60")]
#[case::bad_name("name = \"A/B\"\npath = \"x\"\nnics = [\"pcnet\"]\ndeadline-s = 60")]
#[case::no_origin("name = \"x\"\nnics = [\"pcnet\"]\ndeadline-s = 60")]
#[case::bad_variable("name = \"x\"\nvariable = \"a b\"\nnics = [\"pcnet\"]\ndeadline-s = 60")]
#[case::no_nics("name = \"x\"\npath = \"x\"\nnics = []\ndeadline-s = 60")]
#[case::twice("name = \"x\"\npath = \"x\"\nnics = [\"pcnet\", \"pcnet\"]\ndeadline-s = 60")]
#[case::no_deadline("name = \"x\"\npath = \"x\"\nnics = [\"pcnet\"]")]
#[case::forever("name = \"x\"\npath = \"x\"\nnics = [\"pcnet\"]\ndeadline-s = 9999")]
fn refused_as_a_whole(#[case] text: &str) {
    let error = parse(text).unwrap_err();
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    let case = name.rsplit("::").next().unwrap_or_default();
    insta::assert_snapshot!(format!("whole_{case}"), error.to_string());
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = parse(&text);
        let _ = parse(&format!("{LEAST}{text}"));
    }
}
