# A save that does not fit (here, a limit on the size of files) is a warning that names the newest checkpoint, and the next one another
# try; that of the last step is an error. Nothing of it is left that looks finished, and the run goes on from the earlier one.
. "$ROOT/tests/cli/titan-train/tiny.inc"
flags+=(--checkpoint.enable --checkpoint.interval 2 --checkpoint.no_last_save_model_only)
titan-train "${flags[@]}" --training.steps 2 2>/dev/null || exit 9
(ulimit -f 100; titan-train "${flags[@]}" --training.steps 7 2>log; echo "exit $?")
plain <log | grep -o '^WARNING.*\|^titan-train.*\|step: *[0-9]*' | sed -E 's/\.titan-[^/]*/.titan-TMP/; s/offset [0-9]+/offset N/'
ls -A out/checkpoint
titan-train "${flags[@]}" --training.steps 4 2>&1 | plain | grep -o '^INFO - step:  [0-9]*'
ls -A out/checkpoint

# In the background too.
(ulimit -f 100; titan-train "${flags[@]}" --training.steps 7 --checkpoint.load_step 2 --checkpoint.async_mode async 2>log; echo "exit $?")
plain <log | grep -c 'step: *[3-7] '
plain <log | grep -o '^WARNING.*\|^titan-train.*' | sed -E 's/\.titan-[^/]*/.titan-TMP/; s/offset [0-9]+/offset N/'
ls -A out/checkpoint

# The disk is full for some time.
(ulimit -S -f 100; exec titan-train "${flags[@]}" --training.steps 1000000 2>log) &
for _ in $(seq 600); do
	grep -q 'WARNING - step 8 was not saved' log && break
	sleep 0.1
done
prlimit --pid $! --fsize=unlimited
for _ in $(seq 600); do
	[ -n "$(find out/checkpoint -name 'step-[0-9][0-9]*')" ] && echo "saved again" && break
	sleep 0.1
done
kill -TERM $!
wait $!
echo "exit $?"
