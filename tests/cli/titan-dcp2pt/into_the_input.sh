# An output among the input's files is refused: it could take the name of one of them.
cp -r "$ROOT/tests/golden/dcp-grid4" in || exit 9
ln -s in link
titan-dcp2pt --format pt in in/.metadata
titan-dcp2pt in link/model.pt
diff -r in "$ROOT/tests/golden/dcp-grid4" && titan-dcp2pt --quiet in out.pt && ls
