/* Any bytes as a line of a dataset, and as an element of an array: an error that names the line, or text that is UTF-8.
 * corpus: tests/golden/data/samples tests/golden/data/tokens.jsonl */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "data/jsonl.h"
#include "data/unicode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_text(const char *line, size_t size, bool is_element)
{
    struct tt_buf text = { 0 };
    struct tt_err err = { 0 };
    if (tt_jsonl_text(&text, line, size, is_element, "fuzz", 7, &err) == TT_OK) {
        if (tt_jsonl_blank(line, size) || tt_utf8_check((const char *)text.data, text.len) != text.len)
            abort();
    } else if (err.status != TT_ENOMEM && !strstr(err.msg, "fuzz: line 7: ")) {
        abort();
    }
    tt_buf_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *line = size ? (const char *)data : "";
    read_text(line, size, false);
    read_text(line, size, true);
    return 0;
}
