# SIGTERM and SIGUSR1: a full checkpoint of the step in progress, and exit 75; what resumes from it takes the same steps as a run that
# was never stopped. SIGINT ends the run, without a checkpoint that is not due.
. "$ROOT/tests/cli/titan-train/tiny.inc"
flags+=(--training.steps 1000000 --checkpoint.interval 1000000)
last() { plain <log | sed -n 's/^INFO - step: *\([0-9]*\).*/\1/p' | tail -1; }
run() { # SIGNAL STEP OPTION...: sends it after that step
	titan-train "${flags[@]}" "${@:3}" 2>log &
	for _ in $(seq 600); do
		[ "$(last)" -ge "$2" ] 2>/dev/null && break
		sleep 0.1
	done
	kill -"$1" $!
	wait $!
	echo "$1: exit $?"
	plain <log | tail -1 | sed "s/step $(last)\./its last step./"
	! grep 'Training completed' log
}
steps() { head -"$n" "$1" | grep -o '"step": [0-9]*, "loss": [^,]*, "grad_norm": [^,]*'; }
run TERM 7 --checkpoint.enable --metrics.save_jsonl stopped
[ "$(ls out/checkpoint)" = "step-$(last)" ] && echo "and saves it"
run USR1 $(($(last) + 7)) --checkpoint.enable --metrics.save_jsonl stopped
[ -e "out/checkpoint/step-$(last)/.metadata" ] && echo "and saves it"
n=$(last)
rm -r out
run INT "$n" --checkpoint.enable --metrics.save_jsonl whole
[ -e out/checkpoint ] || echo "and saves nothing"
cmp <(steps stopped) <(steps whole) && [ "$(wc -l <stopped)" = "$n" ] && echo "the same steps"
run TERM 3
