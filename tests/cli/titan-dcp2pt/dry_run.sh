# --dry_run says what would happen and ends as the run would, but writes nothing.
in=$ROOT/tests/golden/dcp-types
plan() { titan-dcp2pt --dry_run "$@" 2>&1 | sed 's/memory: [0-9]*/memory: N/; s/free: [0-9]*/free: N/'; echo "exit ${PIPESTATUS[0]}"; }
plan "$in" out.pt
plan "$in" -
plan "$in" out.safetensors --include 't_*' --exclude '*complex*' --dtype float32
plan --reverse "$ROOT/tests/golden/pt/views.pt" out
plan --quiet "$in" out.pt
echo something >there.pt
plan "$in" there.pt
plan --strict --dtype bfloat16 "$in" out.pt
cp -r "$ROOT/tests/golden/bad/hole" hole
plan hole out.pt
cat there.pt
ls -A
