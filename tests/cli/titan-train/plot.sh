# --plot: runs as text and as SVG; files that are no runs.
line() { printf '{"step": %s, "loss": %s, "grad_norm": %s, "lr": %s, "ntokens": 1, "tps": %s}\n' "$@"; }
{ line 1 8.5 1.5 0.0004 11800; line 2 7.25 2.5 0.0008 12400; line 3 6.5 null 0.0004 12100; line 4 6.25 null 0 12200; } >one.jsonl
{ line 1 8.5 1.5 1e-6 7000; line 2 7 1.25 2e-6 7100; line 3 99 99 99 99 # a step that is taken again
	line 3 null 1.0 2e-6 7050; line 4 5.5 0.75 1e-6 7000; echo '{"step": 4, "validation_loss": 99}'; printf '{"step": 5, "lo'; } >'two<&é>.jsonl'
titan-train --plot one.jsonl 'two<&é>.jsonl'
titan-train --plot - <'two<&é>.jsonl' | head -5
titan-train --plot=both.svg one.jsonl 'two<&é>.jsonl' && cat both.svg
for i in $(seq 5000); do line "$i" "$((i % 7))" 1 0 1; done >long.jsonl
titan-train --plot=- long.jsonl | wc -c

bad() { printf '%s' "$1" >bad.jsonl; titan-train --plot one.jsonl bad.jsonl; echo "exit $?"; }
bad ''
bad '[1]
'
bad '{"step": 1, "loss": 2.5}
{"step": -2}
'
bad '{"step": 1, "loss": "low"}
'
bad '{"step": 1
'
bad "$(printf '{"step": 1, "loss": 1e300, "tps": -1e99}\n ')"
titan-train --plot none.jsonl
titan-train --plot
titan-train --plot one.jsonl --training.steps 3
titan-seed --plot one.jsonl 2>&1 | head -1
ls
