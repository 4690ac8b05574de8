# Modes exclude one another; what reads at offsets refuses a pipe.
titan-ckpt-inspect --json --stats x; echo $?
titan-ckpt-inspect --tree --values 'a' x; echo $?
titan-ckpt-inspect --stats - </dev/null; echo $?
titan-ckpt-inspect --values 'a[0]' x - </dev/null
