#!/bin/sh
# Installs what building the defective QEMU needs, as far as it is missing: with apt when that is possible without asking,
# else says what to do.
set -u

header() {
  printf '#include <%s>\n' "$1" | cc -E -x c -
}
# What is missing, as names of packages. need PACKAGE COMMAND...: the package is missing when the command fails.
list() {
  need() {
    package=$1
    shift
    "$@" >/dev/null 2>&1 || printf ' %s' "$package"
  }
  need dpkg-dev command -v dpkg-source
  need gcc command -v cc
  need libc6-dev header stdio.h
  need make command -v make
  need meson command -v meson
  need ninja-build command -v ninja
  need pkg-config command -v pkg-config
  need python3 command -v python3
  need libfdt-dev header libfdt.h
  need libglib2.0-dev pkg-config --exists glib-2.0
  need libpixman-1-dev pkg-config --exists pixman-1
  need zlib1g-dev pkg-config --exists zlib
}

missing=$(list)
[ -z "$missing" ] && exit 0
as_root=
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root='sudo -n'; else as_root=no; fi
fi
if command -v apt-get >/dev/null && [ "$as_root" != no ]; then
  echo "installing with apt:$missing" >&2
  # A fresh machine has no package lists, or old ones.
  # shellcheck disable=SC2086 # one word a package
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $missing >/dev/null &&
    missing=$(list) && [ -z "$missing" ] && exit 0
  echo 'apt could not install what is missing; its messages are above' >&2
fi
echo "missing to build QEMU; as root: apt-get install$missing" >&2
exit 2
