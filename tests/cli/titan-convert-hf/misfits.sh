# What does not fit is named before anything is written: the config, a shape, a key that is missing, one that has no place.
. "$ROOT/tests/cli/titan-convert-hf/tiny.inc"
convert --model_flavor wide.yaml hf out
rm hf/config.json
convert --model_flavor wide.yaml hf out
convert --model_flavor deep.yaml hf out
convert --model_flavor shallow.yaml hf out
convert --model_flavor wide.yaml seed out
convert --model_flavor deep.yaml seed out
convert --model_flavor shallow.yaml seed out
convert --model_flavor tiny.yaml --exclude '*' seed out
ls
convert --model_flavor shallow.yaml --allow_unused hf out
convert --model_flavor shallow.yaml --allow_unused --strict hf strict
