#!/bin/sh
# Installs the distribution's Chromium, in which the tests open the HTML report, if there is none.
set -u
if [ -n "${VHOST_RECONNECT_CHROMIUM:-}" ] || command -v chromium >/dev/null; then
  exit 0
fi
sh "$(dirname "$0")/apt-install.sh" chromium && command -v chromium >/dev/null && exit 0
cat >&2 <<'TEXT'
The tests of the HTML report need Chromium. As root:
  Debian                     apt-get install chromium
  Fedora                     dnf install chromium
or name a binary: VHOST_RECONNECT_CHROMIUM=/path/to/chrome make test
TEXT
exit 2
