#!/bin/bash
# The tour of titan in two minutes: train a small Llama on this project's own text, save, resume, inspect, flatten. Every command
# is printed before it runs and works as it stands from the repository's root.
set -eu
cd "$(dirname "$0")/.."
# The commands are pipelines of a shell: they are printed and run as they are written.
run() {
	if [ -t 1 ]; then printf '\n\033[1m$ %s\033[0m\n' "$1"; else printf '\n$ %s\n' "$1"; fi
	bash -o pipefail -c "$1"
}
out=build/demo
rm -rf "$out"
echo "A small Llama (configs/llama3/demo.toml) on this project's own text, two minutes at the most. Watch the loss fall from 8."
run "build/bin/titan-train configs/llama3/demo.toml --job.dump_folder $out"
echo
echo "Again from the full checkpoint of step 80, as after a crash: the same losses, to the last digit."
run "rm -r $out/checkpoint/step-120"
run "build/bin/titan-train configs/llama3/demo.toml --job.dump_folder $out"
run "build/bin/titan-ckpt-inspect $out/checkpoint/step-120 | tail -n 14"
run "build/bin/titan-dcp2pt $out/checkpoint/step-120 $out/model.pt"
run "ls -l $out/model.pt"
echo
echo "Python opens it with torch.load(\"$out/model.pt\", weights_only=True)."
