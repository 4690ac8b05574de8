# A list that cannot be written is an error.
titan-ckpt-inspect "$ROOT/tests/golden/dcp-types" > /dev/full
