use super::*;
use rstest::rstest;

/// SnapshotKey with files of their own in the directory.
fn key(dir: &Path) -> SnapshotKey {
    let file = |name: &str| {
        let path = dir.join(name);
        std::fs::write(&path, name).expect("the image's file");
        path
    };
    SnapshotKey {
        name: "linux-restored".into(),
        domain: "<domain type='qemu'/>".into(),
        files: vec![file("vmlinux"), file("initramfs.cpio")],
        others: vec!["qemu 10.0.2".into(), "libvirt 11.3.0".into()],
    }
}

fn temporary() -> (tempfile::TempDir, Snapshots) {
    let dir = tempfile::tempdir().expect("a directory");
    let snapshots = Snapshots::open(&dir.path().join("saved"), Slowness::NONE)
        .expect("a directory for snapshots");
    (dir, snapshots)
}

async fn made(snapshots: &Snapshots, key: &SnapshotKey, content: &str) -> PathBuf {
    match snapshots.make(key).await.expect("the lock") {
        Snapshot::Missing(making) => {
            std::fs::write(&making.file, content).expect("the state");
            making.done(snapshots).expect("renamed")
        }
        Snapshot::Ready(file) => panic!("{} is there already", file.display()),
    }
}

fn names(snapshots: &Snapshots) -> Vec<String> {
    let entries = std::fs::read_dir(&snapshots.dir).expect("the directory");
    let mut names: Vec<String> = entries
        .map(|entry| PathBuf::from(entry.expect("an entry").file_name()))
        .filter(|name| name.extension().is_none_or(|end| end != "lock"))
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_state_is_found_again_by_what_it_was_made_of() {
    let (dir, snapshots) = temporary();
    let key = key(dir.path());
    assert_eq!(snapshots.ready(&key), None);
    let file = made(&snapshots, &key, "a guest").await;
    assert_eq!(snapshots.ready(&key), Some(file.clone()));
    snapshots.discard(&file);
    assert_eq!(snapshots.ready(&key), None);
}

type Change = fn(&mut SnapshotKey);

#[rstest]
#[case::memory_cpu_or_machine(|it: &mut SnapshotKey| it.domain = "<domain type='qemu'><memory/></domain>".into())]
#[case::accelerator(|it: &mut SnapshotKey| it.domain = "<domain type='kvm'/>".into())]
#[case::qemu(|it: &mut SnapshotKey| it.others[0] = "qemu 10.0.3".into())]
#[case::libvirt(|it: &mut SnapshotKey| it.others[1] = "libvirt 11.3.1".into())]
#[case::kernel_of_another_place(|it: &mut SnapshotKey| it.files[0] = it.files[1].clone())]
#[case::kernel_rewritten(|it: &mut SnapshotKey| std::fs::write(&it.files[0], "other").expect("writes"))]
#[case::initramfs_of_another_time(|it: &mut SnapshotKey| {
    let file = File::options().append(true).open(&it.files[1]).expect("the file");
    file.set_modified(SystemTime::UNIX_EPOCH).expect("a time");
})]
#[case::initramfs_replaced(|it: &mut SnapshotKey| {
    let time = used(&it.files[1]);
    let fresh = it.files[1].with_extension("fresh");
    std::fs::copy(&it.files[1], &fresh).expect("copies");
    let file = File::options().append(true).open(&fresh).expect("the file");
    file.set_modified(time).expect("a time");
    std::fs::rename(&fresh, &it.files[1]).expect("renames");
})]
#[case::kernel_gone(|it: &mut SnapshotKey| std::fs::remove_file(&it.files[0]).expect("removes"))]
#[tokio::test]
async fn a_state_of_other_makings_is_not_used(#[case] change: Change) {
    let (dir, snapshots) = temporary();
    let mut key = key(dir.path());
    made(&snapshots, &key, "a guest").await;
    assert!(snapshots.ready(&key).is_some());
    change(&mut key);
    assert_eq!(snapshots.ready(&key), None);
}

#[tokio::test]
async fn whoever_waits_for_the_lock_finds_what_was_made_meanwhile() {
    let (dir, snapshots) = temporary();
    let key = key(dir.path());
    let Snapshot::Missing(making) = snapshots.make(&key).await.expect("the lock") else {
        panic!("there is a state already");
    };
    let waiting = {
        let (snapshots, key) = (snapshots.clone(), key.clone());
        tokio::spawn(async move { snapshots.make(&key).await })
    };
    std::fs::write(&making.file, "a guest").expect("the state");
    let file = making.done(&snapshots).expect("renamed");
    let found = waiting.await.expect("it ends").expect("the lock");
    assert!(matches!(found, Snapshot::Ready(path) if path == file));
}

#[tokio::test]
async fn what_was_not_finished_is_never_a_state_and_does_not_stay() {
    let (dir, snapshots) = temporary();
    let key = key(dir.path());
    let Snapshot::Missing(making) = snapshots.make(&key).await.expect("the lock") else {
        panic!("there is a state already");
    };
    std::fs::write(&making.file, "half a gu").expect("writes");
    making.abandon();
    assert_eq!(names(&snapshots), [""; 0]);
    // A worker that was killed could not even do that.
    let killed = snapshots.dir.join("killed.new");
    std::fs::write(&killed, "ha").expect("writes");
    age(&killed, MADE.as_secs() + 1);
    assert_eq!(snapshots.ready(&key), None);
    let file = made(&snapshots, &key, "a guest").await;
    let name = file.file_name().expect("a name").to_string_lossy();
    assert_eq!(names(&snapshots), [name.as_ref()]);
}

#[tokio::test]
async fn what_somebody_else_is_writing_stays() {
    let (dir, snapshots) = temporary();
    let key = key(dir.path());
    let other = SnapshotKey {
        name: "ipxe-pcnet".into(),
        domain: "<domain type='qemu'><nic/></domain>".into(),
        ..key.clone()
    };
    let Snapshot::Missing(making) = snapshots.make(&key).await.expect("the lock") else {
        panic!("there is a state already");
    };
    std::fs::write(&making.file, "half a gu").expect("writes");
    // A domain of another name needs no wait.
    made(&snapshots, &other, "another guest").await;
    assert!(making.file.exists());
    let file = making.done(&snapshots).expect("renamed");
    assert_eq!(snapshots.ready(&key), Some(file));
}

/// Says that the state was last used so long ago.
fn age(file: &Path, seconds: u64) {
    let then = SystemTime::now() - Duration::from_secs(seconds);
    let file = File::options().append(true).open(file).expect("a snapshot");
    file.set_modified(then).expect("a time");
}

#[tokio::test]
async fn the_states_used_last_are_kept() {
    let (dir, snapshots) = temporary();
    let base = key(dir.path());
    let of = |domain: usize| SnapshotKey {
        domain: domain.to_string(),
        ..base.clone()
    };
    let mut files = Vec::new();
    for number in 0..3 {
        files.push(made(&snapshots, &of(number), "a guest").await);
    }
    for (file, seconds) in files.iter().zip([90, 60, 30]) {
        // Two of them fill what there is room for; of holes, that is.
        let state = File::options().append(true).open(file).expect("a snapshot");
        state.set_len(KEEP / 2 - 100).expect("a length");
        age(file, seconds);
    }
    // Using the oldest makes the second the one that goes.
    assert!(snapshots.ready(&of(0)).is_some());
    files.push(made(&snapshots, &of(3), "a guest").await);
    let left: Vec<bool> = files.iter().map(|file| file.exists()).collect();
    assert_eq!(left, [true, false, true, true]);
}

#[rstest]
#[case::another_model(
    "model name\t: A\nflags\t\t: fpu tsc\n",
    "model name\t: B\nflags\t\t: fpu tsc\n"
)]
#[case::another_feature(
    "model name\t: A\nflags\t\t: fpu\n",
    "model name\t: A\nflags\t\t: fpu tsc\n"
)]
fn another_cpu_has_another_name(#[case] one: &str, #[case] other: &str) {
    assert_ne!(cpu(one), cpu(other));
}

#[test]
fn the_clock_of_the_moment_does_not_count() {
    let at = |mhz: &str| {
        cpu(&format!(
            "model name\t: A\ncpu MHz\t\t: {mhz}\nflags\t\t: fpu\n"
        ))
    };
    assert_eq!(at("2000.1"), at("2612.7"));
}
