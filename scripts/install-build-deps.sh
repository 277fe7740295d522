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
# shellcheck disable=SC2086 # one word a package
sh "$(dirname "$0")/apt-install.sh" $missing && missing=$(list) && [ -z "$missing" ] && exit 0
echo "missing to build QEMU; as root: apt-get install$missing" >&2
exit 2
