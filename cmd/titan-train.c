/* titan-train: trains a model as TorchTitan's settings say. */
#include "train/main.h"

int main(int argc, char **argv)
{
    static const struct tt_train_prog prog = { .name = "titan-train", .about = "train a language model as TorchTitan does" };
    return tt_train_main(&prog, argc, argv);
}
