#!/bin/sh
# apt-install.sh PACKAGE...: installs them with apt when that is possible without asking; fails when it is not.
set -u
as_root=
if [ "$(id -u)" -ne 0 ]; then
  if command -v sudo >/dev/null && sudo -n true 2>/dev/null; then as_root='sudo -n'; else exit 1; fi
fi
command -v apt-get >/dev/null || exit 1
echo "installing with apt: $*" >&2
# A fresh machine has no package lists, or old ones.
$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update &&
  $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >/dev/null &&
  exit 0
echo "apt could not install $*; its messages are above" >&2
exit 1
