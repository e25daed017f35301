#!/bin/sh
# deb.sh OUT: a Debian package of what is built in OUT, as OUT/deb/quorate_VERSION_ARCHITECTURE.deb. Asks for no root.
set -eu
out=$1
cd "$(dirname "$0")/.."
case $out in /*) ;; *) out=$PWD/$out ;; esac
stage=$out/deb/root
rm -rf "$out/deb"
mkdir -p "$stage/DEBIAN"
make --no-print-directory -s install DESTDIR="$stage" PREFIX=/usr BUILD="$out"
gzip -9n "$stage"/usr/share/man/man*/*
strip "$stage/usr/bin/quorate" "$stage"/usr/lib/libquorate.so.*

version=$("$out/quorate" version -o json | sed 's/.*"version":"\([^"]*\)".*/\1/')
architecture=$(dpkg --print-architecture)
# dpkg-shlibdeps wants a source package about it.
mkdir -p "$out/deb/source/debian"
printf 'Source: quorate\n\nPackage: quorate\nArchitecture: any\n' >"$out/deb/source/debian/control"
depends=$(cd "$out/deb/source" && dpkg-shlibdeps -O "$stage/usr/bin/quorate" "$stage"/usr/lib/libquorate.so.* 2>/dev/null |
    sed -n 's/^shlibs:Depends=//p')
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$architecture/" -e "s/@DEPENDS@/$depends, adduser/" \
    -e "s/@SIZE@/$(du -sk "$stage/usr" | cut -f 1)/" deploy/debian/control >"$stage/DEBIAN/control"
printf '/etc/quorate/quorate.conf\n' >"$stage/DEBIAN/conffiles"
install -m 755 deploy/debian/postinst deploy/debian/prerm deploy/debian/postrm "$stage/DEBIAN/"
chmod -R u+rwX,go+rX,go-w "$stage"
package=$out/deb/quorate_${version}_$architecture.deb
dpkg-deb --root-owner-group --build "$stage" "$package" >/dev/null
echo "$package"
