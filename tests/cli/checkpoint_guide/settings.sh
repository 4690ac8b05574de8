# The blocks of "A general guide to use checkpoints during training".
. "$ROOT/tests/cli/checkpoint_guide/guide.inc"
flags+=(--training.seq_len 8)

echo "1. ENABLE CHECKPOINTING"
block <<'TOML'
[checkpoint]
enable = true
folder = "checkpoint"
interval = 500
TOML
train 501
steps
train 502
starts
rm -r out

echo "2. SAVE MODEL ONLY"
block <<'TOML'
[checkpoint]
enable = true
last_save_model_only = true
TOML
train 2
steps
rm -r out

echo "3. CHOOSE DESIRED EXPORT PRECISION"
block <<'TOML'
[checkpoint]
enable = true
last_save_model_only = true
export_dtype = "bfloat16"
TOML
train 2
steps
rm -r out

# TorchTitan's part has the name dataloader, so that there these lines are an error as soon as there is anything to load
# ("data_loader not found in state_dict."). titan takes the guide's name for it too.
echo "4. EXCLUDING SPECIFIC KEYS FROM CHECKPOINT LOADING"
train 4 --checkpoint.interval 2 --checkpoint.no_last_save_model_only --metrics.save_jsonl whole
rm -r out/checkpoint/step-4
cp -r out start
block <<'TOML'
[checkpoint]
enable = true
exclude_from_loading = ["data_loader", "lr_scheduler"]
TOML
again() { rm -rf out && cp -r start out && train 4 "$@"; }
again --metrics.save_jsonl file
starts
block </dev/null
again --checkpoint.enable --checkpoint.exclude_from_loading data_loader,lr_scheduler --metrics.save_jsonl line
again --checkpoint.enable --checkpoint.exclude_from_loading dataloader,lr_scheduler --metrics.save_jsonl names
again --checkpoint.enable --checkpoint.exclude_from_loading lr_scheduler --metrics.save_jsonl lr
cmp <(numbers 5 file) <(numbers 5 line) && cmp <(numbers 5 file) <(numbers 5 names) && numbers 5 file | wc -l
cmp -s <(numbers 2 file) <(numbers 2 lr) || echo "the data begins again"
numbers 5 whole | sed -E 's/"loss.*"lr"/"lr"/'
numbers 5 file | sed -E 's/"loss.*"lr"/"lr"/'
rm -r out start

echo "5. EXAMPLE CHECKPOINT CONFIGURATION"
block <<'TOML'
[checkpoint]
enable = true
folder = "checkpoint"
interval = 10
load_step = 5
last_save_model_only = true
export_dtype = "bfloat16"
TOML
train 21
starts
steps
train 21 # the folder is there now, and step 5 is not
plain <log | tail -1
rm -r out
train 7 --checkpoint.interval 5
train 21
starts
steps
