/* titan-seed: writes the checkpoint of step 0, a model's initial weights, which every layout of ranks can start from. */
#include "train/main.h"

int main(int argc, char **argv)
{
    static const struct tt_train_prog prog = {
        .name = "titan-seed", .about = "write a seed checkpoint: the initial weights of a model", .seed = true
    };
    return tt_train_main(&prog, argc, argv);
}
