#!/bin/bash
# `make install` into a folder of its own: the programs and run_train.sh run from there and find their flavors and settings, man pages and
# completions are where the system looks for them, and `make uninstall` leaves no file.
set -eu
d=$(mktemp -d)
trap 'rm -rf "$d"' EXIT
make -s install DESTDIR="$d" PREFIX=/opt/titan
for p in titan-train titan-seed titan-ckpt-inspect titan-dcp2pt; do
	"$d/opt/titan/bin/$p" --version | grep -q "^$p "
	test -s "$d/opt/titan/share/man/man1/$p.1"
	test -s "$d/opt/titan/share/bash-completion/completions/$p"
done
test -s "$d/opt/titan/share/titan/models/llama3/debugmodel.yaml"
(cd "$d" && opt/titan/bin/titan-seed --model.name llama3 --model.flavor debugmodel --model.hf_assets_path "$OLDPWD/tests/assets/tokenizer" \
	--job.dump_folder "$d/out" --training.dataset_path "$OLDPWD/tests/assets/c4_test" 2>"$d/log") || { cat "$d/log"; exit 1; }
test -e "$d/out/checkpoint/step-0/.metadata"
log=$(PATH=/usr/bin:/bin "$d/opt/titan/share/titan/run_train.sh" --dry_run 2>&1) || { echo "$log"; exit 1; }
grep -q 'Would train from step 1 to 10' <<<"$log" || { echo "$log"; exit 1; }
make -s uninstall DESTDIR="$d" PREFIX=/opt/titan
left=$(find "$d/opt" -type f | wc -l)
[ "$left" -eq 0 ] || { find "$d/opt" -type f; exit 1; }
echo "1 passed, 0 failed"
