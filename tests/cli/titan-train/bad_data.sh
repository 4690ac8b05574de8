# Data that turns out to be broken ends the run with the file and the line; what was done before it stays.
. "$ROOT/tests/cli/titan-train/tiny.inc"
flags+=(--training.steps 100 --metrics.save_jsonl steps)
for i in 1 2 3 4 5 6 7 8 9; do echo "{\"text\": \"the quick brown fox number $i jumps over the lazy dog, on and on\"}"; done > good.jsonl
run() { titan-train "${flags[@]}" --training.dataset_path "$1" 2>log; echo "$1: exit $?: $(plain <log | tail -1)"; }
with() { { cat good.jsonl; printf '%s\n' "$2"; } > "$1.jsonl"; run "$1.jsonl"; }
with cut '{"text": "abc'
test -s steps && echo "steps were taken"
with number '{"text": 5}'
with no-key '{"txt": "a"}'
with escapes $'{"a\x1b[31m": 1}'
gzip -c good.jsonl | head -c 60 > short.jsonl.gz && run short.jsonl.gz
head -c 300000000 /dev/zero | gzip -1 > bomb.jsonl.gz && run bomb.jsonl.gz
: > empty.jsonl; run empty.jsonl
mkdir nothing; run nothing
mkfifo pipe; run pipe
run - </dev/null
run - <&-
