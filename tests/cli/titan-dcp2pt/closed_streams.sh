# With standard streams closed their numbers do not go to the files that are written.
dir=$(find "$ROOT/tests/golden/dialects" -name .metadata | sort | head -1)
titan-dcp2pt --quiet "${dir%/.metadata}" x.pt || exit 9
mkdir all; titan-dcp2pt --quiet "${dir%/.metadata}" all/x.pt <&- >&- 2>&-
echo "exit $?"
cmp x.pt all/x.pt && echo same
titan-dcp2pt --quiet "${dir%/.metadata}" - >&-
