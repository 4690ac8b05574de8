printf "[training\n" >x.toml
titan-seed --job.config_file=x.toml
