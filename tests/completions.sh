#!/bin/bash
# The completions load in their shells, and bash and fish complete a setting and its values.
set -u
passed=0 failed=0
holds() {
	local what=$1
	shift
	if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $what"; fi
}

# What bash offers at the end of a command line: bash_offers FILE WORD...
bash_offers() {
	bash -c 'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"
		"_${1//-/_}" 2>/dev/null || "_$1"; printf "%s\n" "${COMPREPLY[@]}"' _ "$@"
}
fish_offers() { fish --no-config -c "source completions/$1.fish; complete -C '$2'" | cut -f1; }

for f in completions/*.bash; do holds "bash -n $f" bash -n "$f"; done
for f in completions/_*; do holds "zsh -n $f" zsh -n "$f"; done
for f in completions/*.fish; do holds "fish -n $f" fish -n "$f"; done
offers() { "${@:2}" | grep -qxF -e "$1"; }
holds "bash: a setting" offers --training.seq_len bash_offers completions/titan-train.bash titan-train --training.seq
holds "bash: its values" offers cosine bash_offers completions/titan-train.bash titan-train --lr_scheduler.decay_type co
holds "bash: an option" offers --threads bash_offers completions/titan-dcp2pt.bash titan-dcp2pt --th
holds "bash: the values of a shared option" offers json bash_offers completions/titan-dcp2pt.bash titan-dcp2pt --progress j
holds "bash: a second name" offers --export_dtype bash_offers completions/titan-dcp2pt.bash titan-dcp2pt --export
holds "fish: a setting" offers --training.seq_len fish_offers titan-train "titan-train --training.seq"
holds "fish: its values" offers cosine fish_offers titan-train "titan-train --lr_scheduler.decay_type co"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
