#!/bin/sh
# Says what is wrong with Node before npm does in its own way.
hint='install Node.js 20.19 or newer (https://nodejs.org), or your distribution'"'"'s nodejs and npm packages'
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  echo "node and npm are needed: $hint" >&2
  exit 2
fi
if ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)'; then
  echo "Node.js 20.19 or newer is needed, this is $(node --version): $hint" >&2
  exit 2
fi
