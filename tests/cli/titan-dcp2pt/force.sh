# An output that is there is not replaced but with --force, and then only a checkpoint.
in=$ROOT/tests/golden/dcp-grid4
titan-dcp2pt --quiet "$in" a.pt && titan-dcp2pt --quiet "$ROOT/tests/golden/dcp-rows2" a.pt
titan-ckpt-inspect a.pt | tail -1
titan-dcp2pt --quiet --force "$ROOT/tests/golden/dcp-rows2" a.pt
titan-ckpt-inspect a.pt | tail -1
echo text >b.pt
titan-dcp2pt --quiet --force "$in" b.pt
mkdir c d
echo text >d/notes
titan-dcp2pt --quiet --reverse a.pt c && titan-dcp2pt --quiet --reverse --force a.pt d
ls -A . c d && cat b.pt d/notes
