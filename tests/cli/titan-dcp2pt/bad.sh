# Damaged input leaves no file.
cd "$ROOT/tests/golden/bad" || exit 9
for d in wrong-crc dotdot hole system; do
	titan-dcp2pt $d "$OLDPWD/out.pt" && exit 9
done
ls -A "$OLDPWD"
