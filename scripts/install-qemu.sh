#!/bin/sh
# Installs the distribution's QEMU if there is none: with apt when that is possible without asking, else says what to do.
set -u
if command -v "${VHOST_RECONNECT_QEMU:-qemu-system-x86_64}" >/dev/null || [ -x /usr/libexec/qemu-kvm ]; then
  exit 0
fi
sh "$(dirname "$0")/apt-install.sh" qemu-system-x86 && exit 0
cat >&2 <<'TEXT'
qemu-system-x86_64 is needed. As root:
  Debian, Ubuntu             apt-get install qemu-system-x86
  Fedora, RHEL, openEuler    dnf install qemu-system-x86-core   (RHEL, openEuler: dnf install qemu-kvm / qemu)
  openSUSE, SLES             zypper install qemu-x86
or name a binary: VHOST_RECONNECT_QEMU=/path/to/qemu-system-x86_64 make run
TEXT
exit 2
