titan-train --model.converters float8
