# To a file and to a pipe the same bytes (but for the name of the folder inside); what comes out is read again.
titan-dcp2pt --quiet "$ROOT/tests/golden/dcp-grid4" archive.pt || exit
titan-dcp2pt --quiet "$ROOT/tests/golden/dcp-grid4" - | cmp - archive.pt && titan-ckpt-inspect archive.pt && ls -A
