titan-dcp2pt one-argument
