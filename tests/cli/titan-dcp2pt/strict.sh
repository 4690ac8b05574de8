# --strict fails before the first byte where a key is unused or recast; without it the run ends with their names.
in=$ROOT/tests/golden/dcp-types
titan-dcp2pt --strict --dtype '*=float64' "$ROOT/tests/golden/dcp-grid4" out.pt
titan-dcp2pt --strict "$in" out.safetensors
ls -A
titan-dcp2pt --dtype float64 --dtype 'half=like' "$ROOT/tests/golden/dcp-grid4" out.pt 2>&1 | sed 's/ in [0-9.]* s .*//'
titan-dcp2pt "$in" out.safetensors 2>&1 | sed 's/ in [0-9.]* s .*//'
titan-dcp2pt --strict --quiet "$ROOT/tests/golden/dcp-grid4" strict.pt && ls -A
