#!/bin/bash
# The training benchmark: titan and the real TorchTitan, the same settings, in turns. ROUNDS (default 3), STEPS (default 6).
set -eu
cd "$(dirname "$0")/../.."
venv=$(tests/anchor/setup)
exec "$venv/bin/python" tests/bench/train.py "$@"
