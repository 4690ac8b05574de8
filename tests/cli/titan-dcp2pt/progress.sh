# Progress is a JSON object a line on stderr where it is asked for; on stderr that is no terminal there is no line. Numbers are N.
in=$ROOT/tests/golden/dcp-grid4
numbers() { sed 's/[0-9][0-9.]*/N/g; s/ in N s.*//' | tr '\r' R | sort -u; }
titan-dcp2pt --quiet --progress json "$in" a.pt 2>&1 | numbers
titan-dcp2pt --progress=json "$in" - 2>err >archive; titan-dcp2pt --quiet "$in" archive.pt; cmp archive archive.pt
numbers <err; grep -c '"done": 2209, "total": 2209,' err
titan-dcp2pt --progress "$in" b.pt 2>&1 | numbers
titan-dcp2pt --quiet "$in" c.pt && titan-dcp2pt --quiet --progress=none "$in" d.pt && ls
