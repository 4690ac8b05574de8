titan-ckpt-inspect
