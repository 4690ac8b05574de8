# Modes exclude one another; what reads at offsets refuses a pipe; keys that are chosen are there.
titan-ckpt-inspect --json --stats x; echo $?
titan-ckpt-inspect --tree --values 'a' x; echo $?
titan-ckpt-inspect --stats - </dev/null; echo $?
titan-ckpt-inspect --values 'a[0]' x - </dev/null
cd "$ROOT/tests/golden" || exit
titan-ckpt-inspect --include 'rowz' dcp-rows2; echo $?
titan-ckpt-inspect --stats --exclude '*' dcp-rows2; echo $?
titan-ckpt-inspect --diff --include 'x*' dcp-rows2 dcp-rows4; echo $?
titan-ckpt-inspect --verify --include 'a*' dcp-rows2; echo $?
titan-ckpt-inspect --manifest - --include 'a*' dcp-rows2
