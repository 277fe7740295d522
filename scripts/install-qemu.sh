#!/bin/sh
# Installs the distribution's QEMU if there is none: with apt when that is possible without asking, else says what to do.
set -u
if command -v "${VHOST_RECONNECT_QEMU:-qemu-system-x86_64}" >/dev/null || [ -x /usr/libexec/qemu-kvm ]; then
  exit 0
fi
as_root=
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root='sudo -n'; else as_root=no; fi
fi
if command -v apt-get >/dev/null && [ "$as_root" != no ]; then
  echo 'installing qemu-system-x86 with apt' >&2
  # A fresh machine has no package lists, or old ones.
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends qemu-system-x86 >/dev/null &&
    exit 0
  echo 'apt could not install qemu-system-x86; its messages are above' >&2
fi
cat >&2 <<'TEXT'
qemu-system-x86_64 is needed. As root:
  Debian, Ubuntu             apt-get install qemu-system-x86
  Fedora, RHEL, openEuler    dnf install qemu-system-x86-core   (RHEL, openEuler: dnf install qemu-kvm / qemu)
  openSUSE, SLES             zypper install qemu-x86
or name a binary: VHOST_RECONNECT_QEMU=/path/to/qemu-system-x86_64 make run
TEXT
exit 2
