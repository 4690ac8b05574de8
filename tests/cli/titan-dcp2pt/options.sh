# What is wrong on a command line is named before anything is read.
for o in --include=layers.[0-3 --exclude= --dtype=bf16 --dtype=int64 '--dtype=*.w=flaot32' --max_memory=64XB --threads=0 --threads=x \
	--progress=xml --quiet=1 --prefix --no-such --verfy --format=pth; do
	titan-dcp2pt no-such-folder out.pt "$o" 2>&1 | head -1
done
titan-dcp2pt in out.pth2
titan-dcp2pt --reverse in -
titan-dcp2pt --reverse --format=pt in out
titan-dcp2pt -- --reverse
titan-dcp2pt in out.pt further
ls -A
