#!/bin/bash
# The training benchmark: titan and the real TorchTitan, the same settings, in turns. ROUNDS (default 3), STEPS (default 7). Exit 1 where titan
# is not as fast as it is to be.
set -eu
cd "$(dirname "$0")/../.."
venv=$(tests/anchor/setup)
exec "$venv/bin/python" tests/bench/train.py "$@"
