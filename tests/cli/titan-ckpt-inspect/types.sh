# Every dtype and kind of value, keys with spaces and a newline.
titan-ckpt-inspect "$ROOT/tests/golden/dcp-types" | sed "s|$ROOT/||"
