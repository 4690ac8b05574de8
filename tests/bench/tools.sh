#!/bin/bash
# The benchmark of the checkpoint tools: against cp, and against the real ones; what it takes from the environment is in tools.py.
# ROUNDS=1 SIZE=15 SECTIONS='disk tenth chunks' CHUNKS=2000 shows in a minute that it runs.
set -eu
cd "$(dirname "$0")/../.."
venv=$(tests/anchor/setup)
exec /usr/bin/env python3 tests/bench/tools.py "$venv/bin/python"
