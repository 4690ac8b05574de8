# A value of a class that titan does not know is shown by its name; nothing of it is run.
cd "$ROOT/tests/golden" || exit 9
titan-ckpt-inspect dcp-objects
titan-ckpt-inspect --json pt/objects.pt | sed 's/.*"key": *\("[^"]*"\).*"value": *\(.*\), "chunks.*/\1 \2/'
titan-ckpt-inspect bad/posix-system
ls -A bad/posix-system
