/* A plain main() for a fuzz target: runs each file named on the command line through it once. `make check` replays the corpora. */
#include <stdint.h>
#include <stdio.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct tt_buf buf = { 0 };
        struct tt_err err;
        if (tt_file_read_all(&buf, argv[i], 64u << 20, &err) != TT_OK) {
            fprintf(stderr, "%s\n", err.msg);
            return 1;
        }
        LLVMFuzzerTestOneInput(buf.data, buf.len);
        tt_buf_release(&buf);
    }
    return 0;
}
