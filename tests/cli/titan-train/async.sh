# Saving in the background: the same checkpoints, byte for byte, as in the foreground; 2N steps are N and N more from the checkpoint of N;
# what ends a run early, an error too, waits for the save in the making.
. "$ROOT/tests/cli/titan-train/tiny.inc"
flags+=(--checkpoint.enable --checkpoint.interval 2 --checkpoint.no_last_save_model_only --training.steps 8)
run() { rm -rf out; titan-train "${flags[@]}" "$@" 2>log; echo "exit $?"; mv out "$name"; }
name=disabled run --metrics.save_jsonl disabled.jsonl
plain <log | grep -c background
name=async run --checkpoint.async_mode async --metrics.save_jsonl async.jsonl
plain <log | grep background | sed -E 's/[0-9.]+GiB/N GiB/' | sort
name=pinned run --checkpoint.async_mode async_with_pinned_mem
diff -r disabled async && diff -r disabled pinned && ls async/checkpoint

mkdir -p out/checkpoint
mv async/checkpoint/step-4 out/checkpoint
titan-train "${flags[@]}" --checkpoint.async_mode async --metrics.save_jsonl resumed.jsonl 2>/dev/null
steps() { grep -o '"step": [5-8], "loss": [^,]*, "grad_norm": [^,]*' "$1"; }
cmp <(steps resumed.jsonl) <(steps disabled.jsonl) && steps resumed.jsonl | wc -l
titan-ckpt-inspect --diff --exclude 'dataloader.*' out/checkpoint/step-8 disabled/checkpoint/step-8

for i in 1 2 3 4 5 6 7 8 9; do echo "{\"text\": \"the quick brown fox number $i jumps over the lazy dog, on and on\"}"; done >cut.jsonl
echo '{"text' >>cut.jsonl
name="cut" run --checkpoint.async_mode async --checkpoint.interval 1 --training.steps 100 --training.dataset_path cut.jsonl
last=$(plain <log | sed -n 's/^INFO - step: *\([0-9]*\).*/\1/p' | tail -1)
titan-ckpt-inspect --verify "cut/checkpoint/step-$last" | sed "s/step-[0-9]*/step-N/; s/;.*//" | tail -1
