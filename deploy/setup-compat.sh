#!/usr/bin/env bash
# Installs what test/compat needs to speak with Fleetwire in another language: Python's gRPC and the compiler of proto
# files, by Debian's names. Elsewhere, and without the right to install, it says so and the tests are skipped.
set -euo pipefail

say() { printf 'setup: %s\n' "$*" >&2; }
have() { command -v "$1" >/dev/null 2>&1; }

packages=(python3-grpcio protobuf-compiler-grpc)
if [ -x /usr/bin/python3 ] && /usr/bin/python3 -c 'import grpc, google.protobuf' 2>/dev/null && have protoc && have grpc_python_plugin; then
  exit 0
fi
as_root=()
[ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
if ! have apt-get || ! "${as_root[@]}" true 2>/dev/null; then
  say "not installed: ${packages[*]} (Debian's names). The tests in test/compat are skipped."
  exit 0
fi
say "installing ${packages[*]} with apt-get"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
