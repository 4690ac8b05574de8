# What a model goes on with: the text on standard output, all else in the log; what cannot be is said before anything is made.
. "$ROOT/tests/cli/titan-train/tiny.inc"
flags+=(--checkpoint.interval 2)
again=("${flags[@]}" --generate.prompt 'static int' --generate.max_new_tokens 8)
titan-train "${again[@]}" 2>&1 | tail -1
titan-train "${flags[@]}" --checkpoint.enable --training.steps 4 --checkpoint.no_last_save_model_only 2>/dev/null || exit 9
titan-train "${again[@]}" --generate.temperature 0 >text 2>log
plain <log | sed -E 's/ in [0-9.]+ seconds/ in N seconds/; s/[0-9.]+ tokens a second/N tokens a second/' | sed '/Building/,/^}/d'
wc -l <text
echo 'twice, from a seed, with degrees for training, from standard input, from a file of weights, from an older step:'
titan-train "${again[@]}" --generate.temperature 0 2>/dev/null | cmp - text && echo same
NGPU=2 titan-train "${again[@]}" --comm.mode local_tensor --parallelism.tensor_parallel_degree 2 --generate.temperature 0 2>/dev/null |
	cmp - text && echo same
printf 'static int' | titan-train "${again[@]}" --generate.prompt - --generate.temperature 0 2>/dev/null | cmp - text && echo same
titan-dcp2pt out/checkpoint/step-4 weights.pt 2>/dev/null
titan-train "${again[@]}" --job.dump_folder none --checkpoint.initial_load_path weights.pt --generate.temperature 0 2>/dev/null |
	cmp - text && echo same
titan-train "${again[@]}" --checkpoint.load_step 2 --generate.temperature 0 2>&1 | plain | grep '^INFO - Loading the checkpoint'
titan-train "${again[@]}" --generate.seed 3 --generate.batch_size 2 >one 2>/dev/null
titan-train "${again[@]}" --generate.seed 3 --generate.batch_size 2 2>/dev/null | cmp - one && echo same
titan-train "${again[@]}" --generate.seed 4 --generate.batch_size 2 2>/dev/null | cmp -s - one || echo different
echo 'within documents or not, the same text, and a warning where the prompt has two:'
for mask in causal block_causal; do
	{ cat tiny.yaml; echo 'attn_type: flex'; echo "attn_mask_type: $mask"; } >$mask.yaml
	titan-train "${again[@]}" --model.flavor $mask.yaml --generate.temperature 0 2>log | cmp - text && echo same
	grep -c WARNING log
	titan-train "${again[@]}" --model.flavor $mask.yaml --generate.prompt 'int<|end_of_text|>char' 2>&1 >/dev/null | plain | grep WARNING
done
echo 'a report:'
titan-train "${again[@]}" --generate.seed 3 --generate.batch_size 2 --generate.out 2>/dev/null |
	sed -E 's/("(generation_time_sec|tokens_per_sec|timestamp)": ).*/\1.../; s/("output_text": ).*/\1.../'
echo 'how it would be:'
titan-train --dry-run "${again[@]}" --generate.out --generate.seed 3 2>&1 | plain | tail -1
echo 'what cannot be:'
titan-train "${again[@]}" --generate.max_new_tokens 100 2>&1 | tail -1
titan-train "${again[@]}" --generate.prompt '' --generate.max_new_tokens 2 2>&1 | grep -c 'prompt is empty'
titan-train "${again[@]}" --comm.mode fake_backend 2>&1 | tail -1
titan-train "${again[@]}" --generate.temperature -1 2>&1 | head -1
titan-train "${again[@]}" --checkpoint.load_step 3 2>&1 | tail -1
titan-train "${again[@]}" >/dev/full 2>log
echo $?
tail -1 log
