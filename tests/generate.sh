#!/bin/bash
# generate.sh [--check]: what the programs' tables make, into completions/ and between the "generated" marks of man/: OPTIONS of
# man/titan-x.1, and the settings of man/titan.toml.5. With --check nothing is written, and a difference is an error.
set -eu
cd "$(dirname "$0")/.."
bin=${BIN:-build/bin}
check=${1:-}
stale=0

# put FILE: stdin becomes FILE, or is compared with it.
put() {
	if [ "$check" = --check ]; then
		if ! diff -u "$1" - >&2; then
			echo "$1 is not what the tables say: run 'make generate'" >&2
			stale=1
		fi
	else
		cat >"$1.new"
		mv "$1.new" "$1"
	fi
}

# splice PAGE PROGRAM PART: the page with what PROGRAM --help-man=PART prints between its marks.
splice() {
	awk -v program="$2" -v part="$3" '
		/^\.\\" begin generated/ { print; system(program " --help-man=" part); skip = 1 }
		/^\.\\" end generated/ { skip = 0 }
		!skip' "$1"
}

for source in cmd/titan-*.c; do
	program=$(basename "$source" .c)
	[ -x "$bin/$program" ] || continue
	put "completions/$program.bash" < <("$bin/$program" --help-completion=bash)
	put "completions/_$program" < <("$bin/$program" --help-completion=zsh)
	put "completions/$program.fish" < <("$bin/$program" --help-completion=fish)
	page=man/$program.1
	if [ -e "$page" ] && grep -q 'begin generated' "$page"; then
		put "$page" < <(splice "$page" "$bin/$program" options)
	fi
	[ "$program" != titan-train ] || put man/titan.toml.5 < <(splice man/titan.toml.5 "$bin/$program" settings)
done
[ "$check" != --check ] || echo "generate: $([ $stale = 0 ] && echo 'completions and man pages are current' || echo stale)"
exit $stale
