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
    assert_eq!(
        manifest.origin,
        ImageSource::Path("/images/disk.img".into())
    );
    assert_eq!(
        (manifest.bus, manifest.medium),
        (DiskBus::Ide, Medium::Disk)
    );
    assert_eq!(manifest.expect.dhcp, Dhcp::Bound);
    assert_eq!(manifest.expect.wan, Wan::Any);
}

#[rstest]
#[case::unknown_key(
    "memmory-mib = 3",
    "x.toml:5:1: unknown field `memmory-mib`, expected one of `name`, `about`, `path`, `variable`, `sha256`, `format`, `medium`, `nics`, `machine`, `bus`, `memory-mib`, `clock`, `deadline-s`, `observe-s`, `expect`\n  cure: did you mean `memory-mib`?"
)]
#[case::unknown_expectation(
    "[expect]\narpp = \"seen\"",
    "x.toml:6:1: unknown field `arpp`, expected one of `dhcp`, `arp`, `broadcast`, `wan`\n  cure: did you mean `arp`?"
)]
#[case::unknown_word(
    "medium = \"cdrm\"",
    "x.toml:5:10: unknown variant `cdrm`, expected one of `disk`, `cdrom`, `floppy`\n  cure: did you mean `cdrom`?"
)]
#[case::unknown_word_of_another_key(
    "clock = \"cdrm\"",
    "x.toml:5:9: unknown variant `cdrm`, expected `utc` or `localtime`\n  cure: the comments in `images/windows-2003.toml` say what belongs where"
)]
#[case::unknown_word_in_a_table_of_one_line(
    "expect = { wan = \"atempted\" }",
    "x.toml:5:18: unknown variant `atempted`, expected `attempted` or `any`\n  cure: did you mean `attempted`?"
)]
#[case::word_for_a_number(
    "memory-mib = \"vpc\"",
    "x.toml:5:14: invalid type: string \"vpc\", expected u32\n  cure: the comments in `images/windows-2003.toml` say what belongs where"
)]
#[case::both_origins(
    "variable = \"X\"",
    "x.toml:5:12: both `path` and `variable` say where the image is\n  cure: keep one of them"
)]
#[case::bad_sum(
    "sha256 = \"abc\"",
    "x.toml:5:10: this is no SHA-256\n  cure: `sha256sum FILE` prints the 64 hexadecimal digits"
)]
#[case::too_long(
    "deadline-s = 60",
    "x.toml:5:1: duplicate key\n  cure: the comments in `images/windows-2003.toml` say what belongs where"
)]
#[case::no_memory(
    "memory-mib = 0",
    "x.toml:5:14: `memory-mib` is 0\n  cure: choose 1 to 65536"
)]
#[case::negative(
    "observe-s = -1",
    "x.toml:5:13: invalid value: integer `-1`, expected u32\n  cure: the comments in `images/windows-2003.toml` say what belongs where"
)]
#[case::cd_on_virtio(
    "medium = \"cdrom\"\nbus = \"virtio\"",
    "x.toml:6:7: there are no CD drives on `virtio`\n  cure: leave `bus` out, or name another"
)]
#[case::ide_on_q35(
    "machine = \"q35\"\nbus = \"ide\"",
    "x.toml:6:7: machine `q35` has no IDE\n  cure: leave `bus` out, or name another"
)]
#[case::disk_on_fdc(
    "bus = \"fdc\"",
    "x.toml:5:7: floppies, and only they, go into `fdc`\n  cure: leave `bus` out, or name another"
)]
fn refused(#[case] line: &str, #[case] expected: &str) {
    let error = parse(&format!("{LEAST}{line}\n")).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[rstest]
#[case::taken_name(
    "name = \"linux\"\npath = \"x\"\nnics = [\"pcnet\"]\ndeadline-s = 60",
    "x.toml:1:8: `linux` is the name of lanfence's own guest\n  cure: take another"
)]
#[case::bad_name(
    "name = \"A/B\"\npath = \"x\"\nnics = [\"pcnet\"]\ndeadline-s = 60",
    "x.toml:1:8: `A/B` cannot be the name of a guest\n  cure: start with a lower-case letter, then letters, digits, `-` and `.`, at most 40 in all"
)]
#[case::no_origin(
    "name = \"x\"\nnics = [\"pcnet\"]\ndeadline-s = 60",
    "x.toml:1:8: nothing says where the image is\n  cure: write `path = \"disk.qcow2\"`, or `variable` with the name of an environment variable"
)]
#[case::bad_variable(
    "name = \"x\"\nvariable = \"a b\"\nnics = [\"pcnet\"]\ndeadline-s = 60",
    "x.toml:2:12: `a b` cannot be an environment variable\n  cure: write it like LANFENCE_IMAGE_WINDOWS_2003"
)]
#[case::no_nics(
    "name = \"x\"\npath = \"x\"\nnics = []\ndeadline-s = 60",
    "x.toml:3:8: 0 NIC models\n  cure: name 1 to 32 of libvirt's models, such as \"pcnet\""
)]
#[case::twice(
    "name = \"x\"\npath = \"x\"\nnics = [\"pcnet\", \"pcnet\"]\ndeadline-s = 60",
    "x.toml:3:18: `pcnet` is there twice\n  cure: keep one"
)]
#[case::no_deadline(
    "name = \"x\"\npath = \"x\"\nnics = [\"pcnet\"]",
    "x.toml:1:1: missing field `deadline-s`\n  cure: the comments in `images/windows-2003.toml` say what belongs where"
)]
#[case::forever(
    "name = \"x\"\npath = \"x\"\nnics = [\"pcnet\"]\ndeadline-s = 9999",
    "x.toml:4:14: `deadline-s` is 9999\n  cure: choose 5 to 3600"
)]
fn refused_as_a_whole(#[case] text: &str, #[case] expected: &str) {
    assert_eq!(parse(text).unwrap_err().to_string(), expected);
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = parse(&text);
        let _ = parse(&format!("{LEAST}{text}"));
    }
}
