#!/bin/bash
# The steps of action.yml on a host that is set up as GitHub's runners are: an ordinary user with
# a sudo that asks nothing, a /dev/kvm that is closed to QEMU, and an AppArmor that restricts user
# namespaces. Run it in a throwaway host only: it changes devices, sysctls and AppArmor's profiles.
set -u
. "$(dirname "$0")/../common/host.sh"

done_well="the steps of the action are as they must be"
if ! command -v sudo >/dev/null; then
    echo "skipped: this host has no sudo, which the steps take"
    echo "$done_well"
    exit 0
fi

user=tester
echo "$user ALL=(ALL) NOPASSWD: ALL" > /etc/sudoers.d/runner
chmod 0600 /dev/kvm /dev/vhost-net
[ ! -e /proc/sys/kernel/unprivileged_userns_clone ] || sysctl -qw kernel.unprivileged_userns_clone=1
restricted=/proc/sys/kernel/apparmor_restrict_unprivileged_userns
if [ -e "$restricted" ] && [ "$(cat /sys/module/apparmor/parameters/enabled)" = Y ]; then
    sysctl -qw kernel.apparmor_restrict_unprivileged_userns=1
    apparmor=1
else
    echo "AppArmor restricts nothing here: that part is not tried"
    apparmor=0
fi

program=$(command -v lanfence)
as_runner() {
    runuser -u "$user" -- env HOME=/home/$user LANFENCE_CACHE=/home/$user/.cache/lanfence \
        LANFENCE_PROGRAM="$program" LANFENCE_GUEST="${LANFENCE_GUEST:-}" GITHUB_ACTIONS=true \
        GITHUB_STEP_SUMMARY=/dev/null PATH="$PATH" "$@"
}

as_runner "$program" doctor --accel kvm > /tmp/before.txt 2>&1
code=$?
[ "$code" = 3 ] || fail "doctor ended with $code before anything was opened"
grep -q "sudo chmod 0666 /dev/kvm" /tmp/before.txt || fail "doctor has no cure for a closed /dev/kvm"
grep -q "name: Let lanfence run its lab" /tmp/before.txt || fail "doctor prints no step"
if [ "$apparmor" = 1 ]; then
    grep -q "apparmor_parser --replace" /tmp/before.txt || fail "doctor has no cure for AppArmor"
fi
[ "$failed" = 0 ] || cat /tmp/before.txt

as_runner dist/ci/cache-key.sh | tee /tmp/key.txt
grep -q "^key=lanfence-" /tmp/key.txt || fail "no key"
as_runner dist/ci/open-host.sh "$program" || fail "open-host.sh ended with $?"
as_runner dist/ci/build.sh /home/$user/kept > /tmp/built.txt || fail "build.sh ended with $?"
grep -qx "LANFENCE_PROGRAM=$program" /tmp/built.txt || fail "build.sh named another program"

cd /home/$user || exit 1
as_runner env ACCEL=kvm ARGUMENTS=$'--nic\npcnet' "$OLDPWD/dist/ci/verify.sh" /home/$user/report
code=$?
[ "$code" = 0 ] || fail "verify.sh ended with $code"
for file in run.json junit.xml lanfence.html findings.sarif doctor.json; do
    [ -s "/home/$user/report/$file" ] || fail "there is no $file"
done
grep -q '"accel": *"kvm"' /home/$user/report/run.json || fail "the guests did not run under KVM"

[ "$failed" = 0 ] || exit 1
echo "$done_well"
