# "Creating a seed checkpoint": its command as it stands, under run_train.sh; the weights are those of that seed, and a run begins with them.
. "$ROOT/tests/cli/checkpoint_guide/guide.inc"
cp "$ROOT/run_train.sh" .
cat >model.toml <<TOML
[job]
dump_folder = "out"
[metrics]
log_freq = 1
[model]
name = "llama3"
flavor = "tiny.yaml"
hf_assets_path = "$ROOT/tests/assets/tokenizer"
[lr_scheduler]
warmup_steps = 2
[training]
dataset = "c4_test"
dataset_path = "$ROOT/tests/assets/c4_test"
local_batch_size = 1
seq_len = 32
steps = 3
[debug]
seed = 7
TOML
NGPU=1 CONFIG_FILE=model.toml ./run_train.sh --checkpoint.enable --checkpoint.create_seed_checkpoint --parallelism.data_parallel_replicate_degree 1 --parallelism.data_parallel_shard_degree 1 --parallelism.tensor_parallel_degree 1 --parallelism.pipeline_parallel_degree 1 --parallelism.context_parallel_degree 1 --parallelism.expert_parallel_degree 1 2>log
echo "exit $?"
plain <log | tail -2
steps
titan-seed model.toml --job.dump_folder other 2>/dev/null
cmp out/checkpoint/step-0/__0_0.distcp other/checkpoint/step-0/__0_0.distcp && echo "titan-seed's"

NGPU=1 CONFIG_FILE=model.toml ./run_train.sh --checkpoint.enable --debug.seed 8 --metrics.save_jsonl seeded 2>log
echo "exit $?"
starts
NGPU=1 CONFIG_FILE=model.toml ./run_train.sh --metrics.save_jsonl whole 2>/dev/null
cmp <(numbers 3 seeded) <(numbers 3 whole) && numbers 3 seeded | wc -l
