#!/bin/sh
# Prints the folder of a guest's files: vmlinuz, modules, busybox. Fetches Debian's with apt when they are not in the cache
# yet: unpacked there, never installed, so that no root is needed and nothing of this machine changes.
set -u
if [ -n "${VHOST_RECONNECT_GUEST:-}" ]; then
  echo "$VHOST_RECONNECT_GUEST"
  exit 0
fi
guest=${VHOST_RECONNECT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vhost-reconnect}/guest
case $guest in /*) ;; *) guest=$PWD/$guest ;; esac
# Made whole or not at all.
if [ -d "$guest" ]; then
  echo "$guest"
  exit 0
fi

give_up() {
  cat >&2 <<TEXT
No guest: $1.
$2, or name a folder with vmlinuz (an x86 kernel), modules (its lib/modules/VERSION) and busybox (linked statically):
  VHOST_RECONNECT_GUEST=DIR make test
TEXT
  exit 2
}

export LC_ALL=C
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
  give_up 'there is no apt' "Use Debian, whose packages it is made of"
mkdir -p "$(dirname "$guest")" && partial=$(mktemp -d "$guest.XXXXXX") ||
  give_up "$guest cannot be made" 'Name another cache: VHOST_RECONNECT_CACHE=DIR'
trap 'rm -rf "$partial"' EXIT
trap 'exit 130' HUP INT TERM

# The metapackage knows the name of the package with the kernel. As root apt would fetch as another user.
fetch() {
  kernel=$(apt-cache depends linux-image-cloud-amd64 linux-image-amd64 2>/dev/null |
    sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1)
  [ -n "$kernel" ] || return
  echo "fetching $kernel and busybox-static" >&2
  (cd "$partial" && apt-get -qq -o APT::Sandbox::User=root download "$kernel" busybox-static) >&2
}
# A fresh machine has no package lists, or old ones.
fetch || { [ "$(id -u)" -eq 0 ] && apt-get -qq update >&2 && fetch; } ||
  give_up 'apt could not fetch a kernel of Debian for amd64 and busybox-static' 'As root: apt-get update'
for package in "$partial"/*.deb; do
  dpkg-deb -x "$package" "$partial/root" || give_up "$package cannot be unpacked" 'Is the disk full? Free some space'
done
mkdir "$partial/guest"
# Newer releases have all of it below /usr.
for lib in lib usr/lib; do
  for modules in "$partial/root/$lib"/modules/*; do [ -d "$modules" ] && mv "$modules" "$partial/guest/modules"; done
done
mv "$partial/root"/boot/vmlinuz-* "$partial/guest/vmlinuz" && {
  mv "$partial/root/usr/bin/busybox" "$partial/guest/busybox" 2>/dev/null ||
    mv "$partial/root/bin/busybox" "$partial/guest/busybox"
} && [ -d "$partial/guest/modules" ] || give_up "$kernel is not as expected" 'Report it'
# -T: another one that came first is not moved into.
mv -T "$partial/guest" "$guest" 2>/dev/null || [ -d "$guest" ] ||
  give_up "$guest cannot be made" 'Name another cache: VHOST_RECONNECT_CACHE=DIR'
echo "$guest"
