#!/bin/bash
# kills.sh: conversions that take a second or more, killed (SIGKILL) at random times in every phase: the output is what it was before
# or whole, the input untouched, and the next run leaves nothing of the dead one. KILLS: how many in all (300). Every tenth as many
# again are ended by SIGTERM, and leave nothing themselves. BIN, B: as elsewhere.
# Ends with 'N passed, N failed'.
set -u
cd "$(dirname "$0")/.." || exit 1
BIN=$PWD/${BIN:-build/bin} B=$PWD/${B:-build/release} kills=${KILLS:-300}
workers=6
dir=$(mktemp -d -p "$(test -w /dev/shm && echo /dev/shm || echo /tmp)" titan-kills-XXXXXX)
trap 'rm -rf "$dir"' EXIT

printf '%s\n' 'dim: 64' 'n_layers: 2' 'n_heads: 2' 'vocab_size: 2048' 'multiple_of: 16' >"$dir/tiny.yaml"
"$BIN/titan-seed" --model.name llama3 --model.flavor "$dir/tiny.yaml" --model.hf_assets_path tests/assets/tokenizer --debug.seed 1 \
	--job.dump_folder "$dir/seed" 2>"$dir/log" || { cat "$dir/log"; exit 1; }
mv "$dir/seed/checkpoint/step-0" "$dir/in.dcp"
"$BIN/titan-dcp2pt" --quiet "$dir/in.dcp" "$dir/in.pt" || exit 1
(cd "$dir" && find in.dcp in.pt -type f -exec sha256sum {} +) >"$dir/sums"
# What the runs write, and what may stand there before: the same tensors in another dtype. A .pt holds its own name.
mkdir "$dir/new" "$dir/old"
"$BIN/titan-dcp2pt" --quiet "$dir/in.dcp" "$dir/new/out.pt" || exit 1
"$BIN/titan-dcp2pt" --quiet --reverse "$dir/in.pt" "$dir/new/out.dcp" || exit 1
"$BIN/titan-dcp2pt" --quiet --dtype bfloat16 "$dir/in.dcp" "$dir/old/out.pt" || exit 1
"$BIN/titan-dcp2pt" --quiet --reverse "$dir/old/out.pt" "$dir/old/out.dcp" || exit 1

# Sets `conversion` to the command that writes OUTPUT; KIND is pt (a file) or dcp (a folder).
set_conversion() { # KIND OUTPUT
	conversion=("$BIN/titan-dcp2pt" --quiet --threads 1 --force)
	if [ "$1" = pt ]; then conversion+=("$dir/in.dcp" "$2"); else conversion+=(--reverse "$dir/in.pt" "$2"); fi
}

same() { diff -rq "$1" "$2" >/dev/null; }

# One kill; prints the phase it fell into, or what is wrong.
one() { # FOLDER KIND BEFORE PHASE SEED SIGNAL
	local at=$1 kind=$2 before=$3 out=$1/out.$2 delay phase conversion left
	rm -rf "$at" && mkdir "$at"
	[ "$before" = none ] || cp -r "$dir/old/out.$kind" "$out"
	set_conversion "$kind" "$out"
	delay=$(awk -v seed="$5" 'BEGIN { srand(seed); printf "%.3f", rand() * 300 }')
	phase=$("$B/tools/kill_in_phase" "$B/preload/slow.so" "$at.phase" "$4" "$delay" "$6" "${conversion[@]}" 2>"$at.log")
	left=$(find "$at" -name ".titan-*")
	if [ -e "$out" ] && ! same "$out" "$dir/new/out.$kind" && ! { [ "$before" = old ] && same "$out" "$dir/old/out.$kind"; }; then
		echo "wrong: $kind, $before before, killed in phase $phase: the output is neither the old nor the new one"
	elif [ ! -e "$out" ] && [ "$before" = old ]; then
		echo "wrong: $kind, killed in phase $phase: the old output is gone"
	elif [ "$6" -eq 15 ] && [ "$phase" != p ] && [ -n "$left" ]; then
		echo "wrong: $kind, $before before, ended in phase $phase: it leaves $left"
	elif ! "${conversion[@]}" 2>"$at.log" || ! same "$out" "$dir/new/out.$kind" || [ "$(ls -A "$at")" != "out.$kind" ]; then
		echo "wrong: $kind, $before before, killed in phase $phase: the next run leaves $(echo "$at"/* "$at"/.t*) $(cat "$at.log")"
	else
		echo "$phase"
	fi
}

worker() {
	local i kinds=(pt dcp) befores=(none old) phases=(p c f r)
	for ((i = $1; i < kills; i += workers)); do
		one "$dir/w$1" "${kinds[i % 2]}" "${befores[i / 2 % 2]}" "${phases[i / 4 % 4]}" "$i" 9
	done >"$dir/result.$1"
	for ((i = $1; i < kills / 10; i += workers)); do
		one "$dir/w$1" "${kinds[i % 2]}" "${befores[i / 2 % 2]}" "${phases[i / 4 % 4]}" "$i" 15
	done >"$dir/ended.$1"
}

start=$SECONDS
for ((w = 0; w < workers; w++)); do worker $w & done
wait
cat "$dir"/result.* "$dir"/ended.* >"$dir/all"
grep wrong "$dir/all" | head -20
failed=$(grep -c wrong "$dir/all")
passed=$(grep -vc wrong "$dir/all")
for phase in p:plan c:copy f:fsync r:rename; do
	n=$(cat "$dir"/result.* | grep -cx "${phase%%:*}")
	echo "killed in ${phase##*:}: $n"
	[ "$n" -gt 0 ] || { echo "no kill fell into ${phase##*:}"; failed=$((failed + 1)); }
done
echo "over before the kill: $(cat "$dir"/result.* | grep -cx d)"
echo "ended by SIGTERM: $(cat "$dir"/ended.* | grep -cx '[pcfr]') of $(cat "$dir"/ended.* | wc -l)"
if (cd "$dir" && sha256sum --quiet -c sums); then passed=$((passed + 1)); else failed=$((failed + 1)); fi
echo "took $((SECONDS - start)) s"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
