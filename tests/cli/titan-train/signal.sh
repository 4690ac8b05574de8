# SIGTERM lets the step in progress finish; the run ends by the signal, without another line of success.
. "$ROOT/tests/cli/titan-train/tiny.inc"
titan-train "${flags[@]}" --training.steps 1000000 --checkpoint.enable --checkpoint.interval 3 --checkpoint.keep_latest_k 2 2>log &
pid=$!
for _ in $(seq 600); do
	grep -q 'step: *7 ' log && break
	sleep 0.1
done
kill -TERM $pid
wait $pid
echo "exit $?"
tail -1 log | plain | sed -E 's/step [0-9]+/step N/'
grep -c 'Training completed' log
find out/checkpoint -mindepth 1 -maxdepth 1 -printf '%f\n' | sed -E 's/[0-9]+/N/' | uniq
