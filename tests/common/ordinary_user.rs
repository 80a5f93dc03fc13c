//! lanfence as an ordinary user sees it, on a host that may lack something.

use crate::common::{fixture, guest_image, lanfence};
use std::process::{Command, Output};

/// Prepares a private view of the host for an ordinary user, then runs lanfence as
/// that user with the arguments. `$T` is an empty directory,
/// `$BROKEN` what to leave out.
const SCRIPT: &str = r#"
set -e
mount --make-rprivate /
if [ "$BROKEN" = libvirt_directories ]; then
    for parent in /etc /var/lib /var/cache; do
        layer="$T$parent"; mkdir -p "$layer" && mount -t tmpfs lanfence-test "$layer"
        mkdir "$layer/upper" "$layer/work"
        mount -t overlay -o "lowerdir=$parent,upperdir=$layer/upper,workdir=$layer/work" lanfence-test "$parent"
        rm -rf "$parent/libvirt"
    done
fi
mount -t tmpfs -o mode=0755 lanfence-test "$T"
cp "$PROGRAM" "$T/lanfence"
cp "$MANIFEST" "$T/opaque.toml"
mkdir "$T/guest" "$T/home" && mount --bind "$LANFENCE_GUEST" "$T/guest"
chown 12345:12345 "$T/home"
mode=0666; [ "$BROKEN" != tun ] || mode=0600
mknod -m "$mode" "$T/tun" c 10 200 && mount --bind "$T/tun" /dev/net/tun
{ cat /etc/passwd; echo 'lanfence-test:x:12345:12345::/:/bin/sh'; } > "$T/passwd" && mount --bind "$T/passwd" /etc/passwd
: > "$T/sub"; [ "$BROKEN" = subuid ] || echo 'lanfence-test:200000:65536' > "$T/sub"
for file in /etc/subuid /etc/subgid; do [ -e "$file" ] || : > "$file"; mount --bind "$T/sub" "$file"; done
export PATH=/usr/bin:/bin HOME="$T/home" LANFENCE_GUEST="$T/guest" LANFENCE_CACHE="$T/home/cache"
export LANFENCE_IMAGE_OPAQUE="$T/guest/opaque.iso"
case "$BROKEN" in dnsmasq|ebtables)
    program=$(readlink -f "$(PATH=$PATH:/usr/sbin:/sbin command -v "$BROKEN")") && mount --bind /dev/null "$program"
esac
cd "$T/home"
# A hardened host's: what root may raise again, a user may not.
ulimit -c 0
exec setpriv --reuid=12345 --regid=12345 --clear-groups "$T/lanfence" "$@"
"#;

/// Whether root runs the tests.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Runs lanfence as an ordinary user on a host that lacks `broken`, which `nothing` does not.
/// Where root prepared the view, the manifest of the opaque guest is the parent directory's
/// `opaque.toml`.
pub fn run(broken: &str, arguments: &[&str]) -> Output {
    let manifest = fixture("opaque.toml");
    if !is_root() {
        // Already an ordinary user: that is the path to test, and only root can break the host's view.
        assert_eq!(broken, "nothing", "breaking the host's view needs root");
        return lanfence()
            .args(arguments)
            .env("LANFENCE_GUEST", guest_image())
            .env("LANFENCE_IMAGE_OPAQUE", guest_image().join("opaque.iso"))
            .output()
            .unwrap();
    }
    let dir = tempfile::tempdir().unwrap();
    Command::new("unshare")
        .args(["--mount", "sh", "-c", SCRIPT, "sh"])
        .args(arguments)
        .env("MANIFEST", manifest)
        .env("T", dir.path())
        .env("PROGRAM", env!("CARGO_BIN_EXE_lanfence"))
        .env("LANFENCE_GUEST", guest_image())
        .env("BROKEN", broken)
        .output()
        .unwrap()
}
