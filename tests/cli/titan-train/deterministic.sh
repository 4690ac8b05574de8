# The same numbers again: with debug.deterministic or without, and from the seed that a run without one has drawn.
. "$ROOT/tests/cli/titan-train/tiny.inc"
run() { # NAME ARGS...
	titan-train "${flags[@]}" --threads 2 --training.steps 5 --training.local_batch_size 3 --metrics.save_jsonl "$1.jsonl" "${@:2}" 2>"$1.log" || exit 9
	sed -E 's/, "tps".*//' "$1.jsonl" >"$1"
}
run a --debug.deterministic
run b --debug.deterministic --debug.deterministic_warn_only
run c
run drawn --debug.seed None
seed=$(grep -o 'random seed [0-9]*' drawn.log | grep -o '[0-9]*')
run given --debug.seed "$seed"
grep -ho 'Deterministic .*' a.log b.log c.log
wc -l <a
cmp a b && cmp a c && cmp drawn given && ! cmp -s a drawn && echo same
