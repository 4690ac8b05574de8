# Formats and shardings do not matter; what differs does. Exits as diff does.
cd "$ROOT/tests/golden" || exit
d() { titan-ckpt-inspect --diff "$@"; echo "exit $?"; }
d dcp-rows2 dcp-rows4
d dcp-types pt/types.pt
d --threads 4 dcp-rows4 hf/dcp-sharded2
d --include 'co*' --atol 0 dcp-rows4 hf/dcp-sharded2
d --quiet dcp-grid4 dcp-rows4
d dcp-types dcp-zstd
d dialects/torch-2.13 bad/wrong-crc
d dcp-types nowhere
d dcp-types
d --atol x dcp-types dcp-types
titan-ckpt-inspect --rtol 1e-3 dcp-types; echo "exit $?"
titan-ckpt-inspect --diff dcp-types dcp-types >/dev/full; echo "exit $?"
titan-ckpt-inspect --diff dcp-types dcp-rows2 >/dev/full
