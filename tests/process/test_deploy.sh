#!/bin/sh
# What is installed is whole and is accepted by what it is for: units, package, man pages, configuration, container and cluster files.
set -u
# shellcheck source=tests/process/lib.sh
. "$(dirname "$0")/lib.sh"
top=$here/../..
build=$(cd "$build" && pwd) # units name the program by its whole path
quorate=$build/quorate
root=$work/root

check "make install" make -C "$top" -s install DESTDIR="$root" PREFIX=/usr BUILD="$build"
for file in bin/quorate lib/libquorate.so.0 lib/pkgconfig/quorate.pc include/quorate.h share/man/man1/quorate.1 \
    share/man/man5/quorate.conf.5 share/man/man3/libquorate.3 share/bash-completion/completions/quorate \
    lib/systemd/system/quorate-node.service share/doc/quorate/README.md share/doc/quorate/examples/transfer.c; do
    check "/usr/$file is there" test -s "$root/usr/$file"
done
check "what is configured already stays" sh -c "echo 'meta = x:1' >'$root/etc/quorate/quorate.conf' &&
    make -C '$top' -s install DESTDIR='$root' PREFIX=/usr BUILD='$build' && grep -q x:1 '$root/etc/quorate/quorate.conf'"

# The whole file is looked at, whatever the command.
expect "the configuration to begin with is accepted" 0 quorate "$quorate" version --config "$top/deploy/quorate.conf"
: >"$work/file"
sed "s#/var/lib/quorate#$work/file#" "$top/deploy/quorate.conf" >"$work/quorate.conf"
expect "and taken: data cannot be kept in a file" 1 "$work/file is not a directory" "$quorate" node --config "$work/quorate.conf"

for page in man1/quorate.1 man5/quorate.conf.5 man3/libquorate.3; do
    check "groff has no complaint about $page" sh -c "! groff -man -ww -b -z '$root/usr/share/man/$page' 2>&1 | grep ."
done
check "libquorate(3) names every call" sh -c "sed -n 's/^QUORATE_API.*[ *]\(quorate_[a-z_]*\)(.*/\1/p' '$top/include/quorate.h' |
    while read -r call; do grep -q \"\$call(\" '$top/docs/man/libquorate.3' || { echo \"\$call\"; exit 1; }; done"

mkdir "$work/units"
for unit in "$root"/usr/lib/systemd/system/*.service; do # here the program is where it was built
    sed "s#^ExecStart=/usr/bin/quorate#ExecStart=$quorate#" "$unit" >"$work/units/$(basename "$unit")"
done
check "systemd accepts the units" sh -c "! systemd-analyze verify --man=no '$work'/units/*.service 2>&1 | grep quorate"
for unit in meta node gateway; do # 0 exposes nothing, 10 everything
    check "quorate-$unit exposes little" systemd-analyze security --offline=true --threshold=25 --no-pager --root="$root" "quorate-$unit.service"
done

check "the package is built" sh "$top/deploy/deb.sh" "$build"
package=$(ls "$build"/deb/*.deb)
check "it can be unpacked" dpkg-deb -x "$package" "$work/unpacked"
expect "and its program runs" 0 quorate "$work/unpacked/usr/bin/quorate" version
check "the library says the same release" test "$(PKG_CONFIG_PATH=$(dirname "$(find "$work/unpacked" -name quorate.pc)") pkg-config --modversion quorate)" = "$("$quorate" version -o json | json "d['version']")"
check "its depends name the libraries" sh -c "dpkg-deb -f '$package' Depends | grep -q 'libevent.*libjansson\|libjansson.*libevent'"
check "its configuration is marked as one" sh -c "dpkg-deb -I '$package' conffiles | grep -qx /etc/quorate/quorate.conf"
# As dpkg unpacks it, in a root of its own; what its scripts would do there is told by stand-ins for the programs that they call.
mkdir -p "$work/debian/var/lib/dpkg/info" "$work/debian/var/lib/dpkg/updates" "$work/stand-ins"
: >"$work/debian/var/lib/dpkg/status"
check "dpkg takes it" dpkg --root="$work/debian" --log="$work/dpkg.log" --force-depends --force-not-root --unpack "$package"
expect "its program runs there" 0 quorate "$work/debian/usr/bin/quorate" version
expect "dpkg knows its files" 0 /usr/lib/systemd/system/quorate-node.service dpkg --root="$work/debian" --listfiles quorate
for program in adduser getent install ldconfig systemctl; do
    printf '#!/bin/sh\necho "%s $*"\n[ %s != getent ]\n' $program $program >"$work/stand-ins/$program"
    chmod +x "$work/stand-ins/$program"
done
stands_in() { PATH=$work/stand-ins:$PATH sh "$work/debian/var/lib/dpkg/info/quorate.$1" "$2"; }
expect "it makes the user that the units name" 0 "adduser --quiet --system --group --home /var/lib/quorate" stands_in postinst configure
expect "and the directory, for that user alone" 0 "install -d -o quorate -g quorate -m 700 /var/lib/quorate" stands_in postinst configure
check "removing it leaves data and user" sh -c "! grep -E '(^|[^-])(rm|deluser|userdel)\b' '$top/deploy/debian/prerm' '$top/deploy/debian/postrm'"
for script in postinst prerm postrm; do check "$script is a script" sh -n "$top/deploy/debian/$script"; done

check "container and cluster files are as the program wants them" /usr/bin/python3 - "$top" "$quorate" <<'PYTHON'
import subprocess, sys, yaml
top, quorate = sys.argv[1:]

def accepted(words, conf=None):
    """The words are a command line that quorate takes: it answers its help."""
    text = subprocess.run([quorate] + words + ["--help"], capture_output=True, text=True)
    assert text.returncode == 0, (words, text.stderr)

compose = yaml.safe_load(open(top + "/deploy/docker/compose.yml"))
services = compose["services"]
assert sum(n.startswith("meta-") for n in services) == 3 and sum(n.startswith("node-") for n in services) == 3
for name, s in services.items():
    accepted([str(w) for w in s["command"]])
    for d in s.get("depends_on", []): assert d in services, d
    for v in s.get("volumes", []): assert v.split(":")[0] in compose["volumes"], v

kinds, claims = {}, {}
for d in yaml.safe_load_all(open(top + "/deploy/kubernetes/quorate.yaml")):
    kinds.setdefault(d["kind"], []).append(d["metadata"]["name"])
    if d["kind"] == "ConfigMap":
        open(top + "/build/quorate-kubernetes.conf", "w").write(d["data"]["quorate.conf"])
        subprocess.run([quorate, "version", "--config", top + "/build/quorate-kubernetes.conf"], check=True)
    pod = d.get("spec", {}).get("template", {}).get("spec")
    if pod is None: continue
    have = {v["name"] for v in pod["volumes"]} | {c["metadata"]["name"] for c in d["spec"].get("volumeClaimTemplates", [])}
    for c in pod["containers"]:
        assert {m["name"] for m in c["volumeMounts"]} <= have, d["metadata"]["name"]
        assert c["securityContext"]["readOnlyRootFilesystem"]
        words = c["command"]
        if words[0] == "/bin/sh": words = words[2].replace("exec ", "").replace("$((${HOSTNAME##*-} + 1))", "1").split()
        accepted(words[1:])
assert kinds["StatefulSet"] == ["quorate-meta", "quorate-node"] and len(kinds["PodDisruptionBudget"]) == 3, kinds
PYTHON
finish
