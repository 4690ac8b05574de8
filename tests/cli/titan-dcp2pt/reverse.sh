# A .pt becomes a DCP folder: from its file, from a pipe, from stdin that is a file; and back to the same bytes.
pt=$ROOT/tests/golden/pt/views.pt
titan-dcp2pt --quiet --reverse "$pt" a && titan-dcp2pt --quiet --reverse - b <"$pt" || exit 9
tail -c +1 "$pt" | titan-dcp2pt --quiet --reverse - deep/c || exit 9
diff -r a b && diff -r a deep/c && titan-ckpt-inspect a
mkdir y; titan-dcp2pt --quiet a x.pt && titan-dcp2pt --quiet --reverse x.pt d && titan-dcp2pt --quiet d y/x.pt && cmp x.pt y/x.pt
head -c 1000 "$pt" | titan-dcp2pt --reverse - e
printf PK | titan-dcp2pt --reverse - e
titan-dcp2pt --reverse "$ROOT/tests/golden/dcp-grid4" f --quiet && ls -A . deep
