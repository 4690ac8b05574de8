# A save that does not fit (here, a limit on the size of files) is an error that names the newest checkpoint; nothing of it is
# left that looks finished, and the run goes on from the earlier one.
. "$ROOT/tests/cli/titan-train/tiny.inc"
flags+=(--checkpoint.enable --checkpoint.interval 2 --checkpoint.no_last_save_model_only)
titan-train "${flags[@]}" --training.steps 2 2>/dev/null || exit 9
(ulimit -f 100; titan-train "${flags[@]}" --training.steps 4 2>log; echo "exit $?")
plain <log | tail -1 | sed -E 's/\.titan-[^/]*/.titan-TMP/; s/offset [0-9]+/offset N/'
ls -A out/checkpoint
titan-train "${flags[@]}" --training.steps 4 2>&1 | plain | grep -o '^INFO - step:  [0-9]*'
ls -A out/checkpoint
