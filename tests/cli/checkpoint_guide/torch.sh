# "Conversion support", Torch: full checkpoints on the way, the last one ready for a single .pt file.
. "$ROOT/tests/cli/checkpoint_guide/guide.inc"
block <<'TOML'
[checkpoint]
enable = true
folder = "checkpoint"
interval = 10
last_save_model_only = true
export_dtype = "bfloat16"
TOML
train 21
steps
titan-dcp2pt --quiet out/checkpoint/step-21 checkpoint.pt
titan-ckpt-inspect checkpoint.pt
titan-ckpt-inspect --diff out/checkpoint/step-21 checkpoint.pt && echo "the same"
