# What a run says, what it would do, and what --strict makes of it.
. "$ROOT/tests/cli/titan-reshard/full.inc"
plain() { sed -E 's/ in [0-9.]+ s( \([0-9.]+ .B\/s\))?$/ in N s/; s/^(.*(free|memory): )[0-9]+/\1N/'; }
titan-reshard full out "${model[@]}" --dtype bfloat16 --exclude 'layers.1.*wq*' --exclude 'optimizer*' 2>&1 | plain
titan-reshard out out1 "${model[@]}" --rename 's/norm/gain/' 2>&1 | plain
titan-reshard full out2 "${model[@]}" --tensor_parallel_degree 2 --dry_run 2>&1 | plain
titan-reshard full out2 --dtype bfloat16 --strict
titan-ckpt-inspect out | grep ^norm
titan-reshard --quiet full cast --dtype bfloat16 && titan-ckpt-inspect cast | grep state.norm
titan-reshard --quiet full none --include nothing
ls -A
