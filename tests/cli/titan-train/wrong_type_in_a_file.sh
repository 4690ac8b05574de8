printf "[training]\n\nseq_len = 2048.0\n" >x.toml
titan-train x.toml
