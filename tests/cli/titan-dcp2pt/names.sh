# - and _ are the same in names, --o v and --o=v too; options stand anywhere, and behind -- there are none.
in=$ROOT/tests/golden/dcp-rows2
titan-dcp2pt --quiet --strip-prefix rank0. "$in" a.pt || exit 9
titan-dcp2pt --strip_prefix=rank0. "$in" --quiet -- b.pt || exit 9
cd "$(mktemp -d)" || exit 9
titan-dcp2pt --quiet "$in" -- --quiet.pt && ls -A && cd - >/dev/null && titan-ckpt-inspect b.pt | tail -2
titan-dcp2pt --quiet --prefix model. --strip_prefix rank0. "$in" c.pt && titan-ckpt-inspect c.pt | cut -d' ' -f1
titan-dcp2pt --strip_prefix rank1. "$in" d.pt
titan-dcp2pt --strip_prefix rank0.step "$in" d.pt
# A nested checkpoint: the path changes with the name, and --flat has no path.
in=$ROOT/tests/golden/dcp-types
for o in --strip_prefix=nested. --prefix=x. --flat; do
	titan-dcp2pt --quiet --force $o --include 'nested.*' "$in" e.pt && titan-ckpt-inspect --json e.pt | sed 's/.*"key": *\("[^"]*"\).*"path": *\(\[[^]]*\]\).*/\1 \2/'
done
