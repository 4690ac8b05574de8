# The same seed gives the same file whatever the number of threads; another seed gives another.
. "$ROOT/tests/cli/titan-train/tiny.inc"
titan-seed "${flags[@]}" --job.dump_folder a 2>log || exit 9
plain <log | tail -3
taskset -c 0 titan-seed "${flags[@]}" --job.dump_folder b 2>/dev/null || exit 9
titan-seed "${flags[@]}" --job.dump_folder c --debug.seed 2 2>/dev/null || exit 9
cmp a/checkpoint/step-0/__0_0.distcp b/checkpoint/step-0/__0_0.distcp && echo same
cmp -s a/checkpoint/step-0/__0_0.distcp c/checkpoint/step-0/__0_0.distcp || echo other
titan-seed "${flags[@]}" --job.dump_folder d --checkpoint.export_dtype bfloat16 2>/dev/null && titan-ckpt-inspect d/checkpoint/step-0
