#!/usr/bin/env bash
# Installs what test/compat needs to speak with Fleetwire in another language: Python's gRPC and the compiler of proto
# files, by Debian's names. Where that cannot be, it says so and goes on.
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

packages=(python3-grpcio protobuf-compiler-grpc)
if [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import grpc, google.protobuf' 2>/dev/null && have protoc && have grpc_python_plugin; then
  exit 0
fi
not_installed() {
  say "not installed: ${packages[*]} (Debian's names): $1. The test in Python is skipped, save where CI is set."
  exit 0
}
have apt-get || not_installed "no apt-get here"
as_root=()
if [ "$(id -u)" -ne 0 ]; then
  # On a person's own machine nothing is installed unasked.
  [ -n "${CI:-}" ] || not_installed "only root, or a machine of CI, installs them"
  as_root=(sudo -n)
fi
say "installing ${packages[*]} with apt-get"
"${as_root[@]}" apt-get update -qq || not_installed "apt-get update failed"
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null ||
  not_installed "apt-get install failed"
