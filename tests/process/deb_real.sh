#!/bin/sh
# The package in a Debian of its own: installed with what it depends on, its units verified, installed again, removed, purged. Needs root, debootstrap
# and the network. `make test-deb`; ROOT=FOLDER: in that Debian, which stays.
set -eu
build=${QUORATE_BUILD:-build}
package=$(ls "$build"/deb/*.deb)
root=${ROOT:-}
if [ -z "$root" ]; then
    root=$(mktemp -d)
    trap 'rm -rf "$root"' EXIT
    debootstrap --variant=minbase bookworm "$root" >/dev/null
fi
cp "$package" "$root/root/quorate.deb"
cat >"$root/root/test.sh" <<'SCRIPT'
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
failed=0
check() { # WHAT COMMAND...
    what=$1 && shift
    if "$@" >/tmp/out 2>&1; then echo "pass  $what"; else
        echo "FAIL  $what"
        sed 's/^/      /' /tmp/out
        failed=$((failed + 1))
    fi
}
apt() { apt-get -y -q --no-install-recommends "$@"; }
check "the lists of packages" apt update
check "systemd" apt install systemd
check "the package, with what it depends on" apt install --reinstall /root/quorate.deb
check "its program runs" quorate version
check "its library is found" sh -c "ldconfig -p | grep -q libquorate.so.0"
check "its units are accepted" systemd-analyze verify --man=no /usr/lib/systemd/system/quorate-meta.service \
    /usr/lib/systemd/system/quorate-node.service /usr/lib/systemd/system/quorate-gateway.service
check "the data directory is its user's alone" sh -c "stat -c '%U %G %a' /var/lib/quorate | grep -qx 'quorate quorate 700'"
check "that user can write there" su quorate -s /bin/sh -c "touch /var/lib/quorate/data"
echo "# mine" >>/etc/quorate/quorate.conf
check "it is installed again" dpkg -i /root/quorate.deb
check "what was configured stays" grep -qx "# mine" /etc/quorate/quorate.conf
check "it is removed" dpkg -r quorate
check "the configuration is still there" test -e /etc/quorate/quorate.conf
check "it is purged" dpkg -P quorate
check "nothing is left" test -z "$(find /etc /usr -xdev -name '*quorate*')"
check "but the data, and whose they are" sh -c "test -e /var/lib/quorate/data && getent passwd quorate"
rm -rf /var/lib/quorate
exit "$failed"
SCRIPT
chroot "$root" sh /root/test.sh
