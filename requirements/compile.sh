#!/usr/bin/env bash
# Makes the hashed locks anew from pyproject.toml; see README.md beside this file.
set -euo pipefail
cd "$(dirname "$0")/.."

compile() {
  uv pip compile pyproject.toml --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-annotate --quiet \
    --custom-compile-command requirements/compile.sh \
    --output-file "requirements/$1.txt" "${@:2}" "${upgrade[@]}"
}

upgrade=("$@")
compile demo --extra demo
compile test --extra demo --group test
compile lint --extra demo --group test --group lint
compile bench --extra demo --group bench
# An extra would drag the product's own needs into the tool's environment.
for group in build explore bench-web mysqlclient; do
  uv pip compile --group "pyproject.toml:$group" --universal --python-version 3.11 \
    --generate-hashes --no-emit-index-url --no-annotate --quiet \
    --custom-compile-command requirements/compile.sh \
    --output-file "requirements/$group.txt" "${upgrade[@]}"
done
