#include "data/jsonl.h"

#include <string.h>

#include <jansson.h>

/* Straight from jansson, without a tree of values in between: this is read for every sample of every epoch. Integers are read as
 * reals, so that one beyond 64 bits in another field does no harm. */
tt_status tt_jsonl_text(struct tt_buf *out, const char *line, size_t nbytes, bool is_element, const char *path, uint64_t number,
                        struct tt_err *err)
{
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL | (is_element ? JSON_DECODE_ANY : 0);
    const unsigned long long at = number;
    json_error_t why;
    json_t *root = json_loadb(line, nbytes, flags, &why);
    if (!root && json_error_code(&why) == json_error_out_of_memory)
        return tt_err_nomem(err, nbytes, "a line of text");
    if (!root && nbytes > 0 && line[0] == '[')
        return tt_err_set(err, TT_EFORMAT, "%s: line %llu: expected one JSON object a line, found the start of an array", path, at);
    if (!root)
        return tt_err_set(err, TT_EFORMAT, "%s: line %llu: column %d: not a JSON object: %s", path, at, why.column, why.text);

    /* NULL also where root is no object */
    const json_t *text = is_element && json_is_string(root) ? root : json_object_get(root, "text");
    tt_status st = TT_OK;
    if (!json_is_object(root) && text != root)
        st = tt_err_set(err, TT_EFORMAT, "%s: line %llu: expected a JSON object", path, at);
    else if (!text)
        st = tt_err_set(err, TT_EFORMAT, "%s: line %llu: expected a key \"text\", found none", path, at);
    else if (!json_is_string(text))
        st = tt_err_set(err, TT_EFORMAT, "%s: line %llu: \"text\": expected a string", path, at);
    if (st == TT_OK) {
        tt_buf_clear(out);
        tt_buf_put(out, json_string_value(text), json_string_length(text));
        st = tt_buf_check(out, "a sample's text", err);
    }
    json_decref(root);
    return st;
}

bool tt_jsonl_blank(const char *line, size_t nbytes)
{
    for (size_t i = 0; i < nbytes; i++)
        if (!strchr(" \t\r", line[i]) || line[i] == '\0')
            return false;
    return true;
}
