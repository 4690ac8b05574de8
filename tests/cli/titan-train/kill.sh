# Killed again and again while it saves at every step: each step that looks finished is, and the next run goes on from the newest.
. "$ROOT/tests/cli/titan-train/tiny.inc"
flags+=(--checkpoint.enable --checkpoint.interval 1 --checkpoint.no_last_save_model_only --checkpoint.keep_latest_k 2)
newest() { find out/checkpoint -maxdepth 2 -path '*/step-*/.metadata' 2>/dev/null | sed -E 's/.*step-([0-9]+).*/\1/' | sort -n | tail -1; }
last=0
for pause in 0.5 0.37 0.61 0.43 0.55; do
	titan-train "${flags[@]}" --training.steps 100000 2>/dev/null &
	# At least one step more than before, then some part of another.
	for _ in $(seq 600); do
		[ "$(newest)" -gt "$last" ] 2>/dev/null && break
		sleep 0.1
	done
	sleep $pause
	kill -KILL $!
	wait $! 2>/dev/null
	now=$(newest)
	[ "$now" -gt "$last" ] || echo "no progress: $last, $now"
	for dir in out/checkpoint/step-*/.metadata; do
		titan-dcp2pt --quiet "${dir%/.metadata}" - >/dev/null || echo "$dir: does not read"
	done
	last=$now
done
steps=$((last + 2))
titan-train "${flags[@]}" --training.steps $steps 2>log || exit 9
grep -q "Training starts at step $((last + 1))$" log && echo resumed
# What the dead left behind is gone.
find out/checkpoint -mindepth 1 -maxdepth 1 ! -name 'step-*'
[ "$(newest)" = $steps ] && echo finished
