# --include and --exclude choose keys by their whole names; both may be repeated, and nothing left is an error.
cp -r "$ROOT/tests/golden/dcp-types" in
keys() { titan-dcp2pt --quiet --force "$@" in out.pt && titan-ckpt-inspect out.pt | sed '1,2d; $d; s/  .*//' | paste -sd ' '; }
keys --include 't_float*' --exclude '*8_*'
keys --include '*.b.*' --include 'values.[n-z]*' --exclude=values.state
keys --include '\\*' --include mixed.?
keys --exclude 'values.*' --exclude '[!e-n]*'
keys --include 'Scalar' --include 'values'
