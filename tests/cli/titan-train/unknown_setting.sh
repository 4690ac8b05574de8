titan-train --training.step 5
