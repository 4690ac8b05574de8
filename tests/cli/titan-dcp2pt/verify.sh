# --verify reads the output again.
titan-dcp2pt --verify "$ROOT/tests/golden/dcp-types" a.pt 2>&1 | sed 's/ in [0-9.]* s (.*)/ in N s/'
titan-dcp2pt --verify --dtype float64 "$ROOT/tests/golden/dcp-rows4" b.safetensors 2>&1 | sed 's/ in [0-9.]* s (.*)/ in N s/'
titan-dcp2pt --verify --reverse --quiet a.pt c && titan-dcp2pt --verify c - >d.pt
# What is left out of a list is None in a .pt.
titan-dcp2pt --verify --include 'mixed.1.v' --include 'mixed.2' "$ROOT/tests/golden/dcp-types" f.pt 2>&1 | sed 's/ in [0-9.]* s (.*)/ in N s/'
# --no_verify takes what has a wrong CRC, and its output has it still.
cp -r "$ROOT/tests/golden/bad/wrong-crc" in
titan-dcp2pt --quiet in e.pt
titan-dcp2pt --quiet --no_verify in e.pt && ls
titan-ckpt-inspect --verify e.pt
