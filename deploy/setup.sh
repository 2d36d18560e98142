#!/usr/bin/env bash
# Installs what Fleetwire needs on this machine and is still missing: npm packages by the lock file, nats-server and
# tmux by the system's package manager. Safe to repeat; does nothing when nothing is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { printf 'setup: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

have npm || { say "npm is missing. Install Node.js 22.17 or newer (https://nodejs.org), then run this again."; exit 1; }

# npm packages, Node.js 24 itself among them on Linux and Windows: as the lock file has them, and only when it changed.
stamp=node_modules/.lock-installed
if ! cmp -s package-lock.json "$stamp" 2>/dev/null; then
  say "installing npm packages"
  npm ci --no-audit --no-fund --loglevel=error
  cp package-lock.json "$stamp"
fi
if ! npm exec --no -- node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 17) ? 0 : 1)'; then
  say "Node.js is too old and no packaged one exists for this platform. Install Node.js 22.17 or newer."
  exit 1
fi

missing=()
if [ -z "${FLEETWIRE_NATS_SERVER:-}" ] && ! have nats-server && [ ! -x /usr/sbin/nats-server ]; then missing+=(nats-server); fi
have tmux || missing+=(tmux)
[ ${#missing[@]} -eq 0 ] && exit 0

as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo)
if have apt-get && { [ "$(id -u)" -eq 0 ] || have sudo; }; then
  say "installing ${missing[*]} with apt-get"
  export DEBIAN_FRONTEND=noninteractive
  "${as_root[@]}" apt-get update -qq
  # RUNLEVEL=1 keeps the package from starting a nats-server of its own: Fleetwire starts one on a free port.
  "${as_root[@]}" env RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  case " ${missing[*]} " in *" nats-server "*)
    "${as_root[@]}" systemctl disable --now nats-server >/dev/null 2>&1 || true ;;
  esac
elif have brew; then
  say "installing ${missing[*]} with Homebrew"
  brew install "${missing[@]}"
else
  say "please install: ${missing[*]}"
  say "  Debian, Ubuntu: apt-get install ${missing[*]}"
  say "  macOS:          brew install ${missing[*]}"
  say "  elsewhere:      https://docs.nats.io/running-a-nats-service/introduction/installation"
  exit 1
fi
