# Numbers that no run can have: an error that names the setting or the file, before anything is made.
. "$ROOT/tests/cli/titan-train/tiny.inc"
try() { titan-train "${flags[@]}" "$@" 2>log >/dev/null; echo "$*: exit $?: $(plain <log | grep -m1 '^titan-train')"; }
try --training.seq_len 1099511627776
try --training.local_batch_size -1
try --training.local_batch_size 1000000000000
try --training.steps 9223372036854775807
try --training.steps 99999999999999999999
try --optimizer.lr nan
try --optimizer.beta1 1
flavor() { sed "s/$1/$2/" tiny.yaml > f.yaml; try --model.flavor f.yaml; }
flavor 'dim: 32' 'dim: 31'
flavor 'n_layers: 1' 'n_layers: 0'
flavor 'n_layers: 1' 'n_layers: 1000000000'
flavor 'vocab_size: 2048' 'vocab_size: 10'
flavor 'dim: 32' '"a\\e[31m\\nb": 32'
try --checkpoint.keep_latest_k 1 --checkpoint.enable
try --checkpoint.create_seed_checkpoint --checkpoint.enable --checkpoint.load_only
ls -A
