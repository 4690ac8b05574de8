# SIGTERM and SIGUSR1: a full checkpoint of the step in progress, and exit 75; what resumes from it takes the same steps as a run that
# was never stopped; one more SIGUSR1, or SIGTERM at once, changes nothing. SIGINT ends the run, without a checkpoint that is not due,
# but is ignored where it was when the run began, as by what a script has in the background.
# Before the first step there is nothing to save.
. "$ROOT/tests/cli/titan-train/tiny.inc"
flags+=(--training.steps 1000000 --checkpoint.interval 1000000)
again=1
last() { plain <log | sed -n 's/^INFO - step: *\([0-9]*\).*/\1/p' | tail -1; }
start=
run() { # SIGNAL STEP OPTION...: sends it after that step
	: >log # else the last run's is read
	$start titan-train "${flags[@]}" "${@:3}" 2>log &
	for _ in $(seq 600); do
		[ "$(last)" -ge "$2" ] 2>/dev/null && break
		sleep 0.1
	done
	[ "$start" ] || { kill -INT $! && sleep 0.1; }
	for _ in $again; do kill -"$1" $! 2>/dev/null && sleep 0.002; done
	wait $!
	echo "$1: exit $?"
	plain <log | tail -1 | sed "s/step $(last)\./its last step./"
	! grep 'Training completed' log
}
steps() { head -"$n" "$1" | grep -o '"step": [0-9]*, "loss": [^,]*, "grad_norm": [^,]*'; }
run TERM 7 --checkpoint.enable --metrics.save_jsonl stopped
[ "$(ls out/checkpoint)" = "step-$(last)" ] && echo "and saves it"
again="1 2 3" run USR1 $(($(last) + 7)) --checkpoint.enable --metrics.save_jsonl stopped
[ -e "out/checkpoint/step-$(last)/.metadata" ] && echo "and saves it"
n=$(last)
rm -r out
start="env --default-signal=INT" run INT "$n" --checkpoint.enable --metrics.save_jsonl whole
[ -e out/checkpoint ] || echo "and saves nothing"
cmp <(steps stopped) <(steps whole) && [ "$(wc -l <stopped)" = "$n" ] && echo "the same steps"
run TERM 3
again="1 2" run TERM 3

# Two million samples to be counted.
for _ in $(seq 1000); do echo '{"text": "the quick brown fox jumps over the lazy dog, on and on"}'; done | gzip -1 >part
for _ in $(seq 2000); do echo part; done | xargs cat >many.jsonl.gz
for sig in TERM USR1; do
	: >log
	titan-train "${flags[@]}" --training.dataset_path many.jsonl.gz --checkpoint.enable 2>log &
	until grep -q Preparing log; do sleep 0.01; done
	kill -$sig $!
	wait $!
	echo "$sig: exit $?: $(tail -1 log)"
done
