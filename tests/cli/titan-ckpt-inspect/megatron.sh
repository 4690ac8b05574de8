# torch_dist folders of three versions of Megatron Core, and what is not sharded of them in common.pt.
cd "$ROOT/tests/golden/megatron" || exit
titan-ckpt-inspect core-0.15 core-0.16 || exit
titan-ckpt-inspect --verify core-0.13 core-0.15 core-0.16 || exit
titan-ckpt-inspect --diff core-0.13 core-0.15 || exit
titan-ckpt-inspect --values 'grid[1:3]' core-0.16 || exit
titan-ckpt-inspect --include 's*' core-0.16
