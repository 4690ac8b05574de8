titan-dcp2pt "$ROOT/tests/golden/dcp-types" - > /dev/full
