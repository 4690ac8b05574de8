#include "format/hf_index.h"

#include <inttypes.h>
#include <string.h>

#include "base/file.h"
#include "value/json.h"

static tt_status take_items(struct tt_hf_index *out, struct tt_arena *arena, const struct tt_value *map, const char *where,
                            struct tt_err *err)
{
    const size_t n = map->u.map.n;
    struct tt_hf_index_item *items = tt_arena_array(arena, n, sizeof *items);

    if (!items)
        return tt_err_nomem(err, n * sizeof *items, where);
    for (size_t i = 0; i < n; i++) {
        const struct tt_value *tensor = map->u.map.pairs[i].key, *file = map->u.map.pairs[i].value;
        if (file->kind != TT_V_STR)
            return tt_err_set(err, TT_EFORMAT, "%s: weight_map: %s: expected the name of a file, found %s", where, tensor->u.str.s,
                              tt_value_kind_name(file->kind));
        if (strlen(file->u.str.s) != file->u.str.nbytes || !tt_path_is_name(file->u.str.s))
            return tt_err_set(err, TT_EFORMAT, "%s: weight_map: %s: refused: '%s' is not the plain name of a file beside the index",
                              where, tensor->u.str.s, file->u.str.s);
        /* Many tensors, few files: neighbours share the name. */
        const bool same = i && strcmp(items[i - 1].file, file->u.str.s) == 0;
        items[i].tensor = tt_arena_str(arena, tensor->u.str.s);
        items[i].file = same ? items[i - 1].file : tt_arena_str(arena, file->u.str.s);
        if (!items[i].tensor || !items[i].file)
            return tt_err_nomem(err, tensor->u.str.nbytes, where);
    }
    *out = (struct tt_hf_index){ items, n };
    return TT_OK;
}

tt_status tt_hf_index_decode(struct tt_hf_index *out, struct tt_arena *arena, const void *bytes, size_t nbytes, const char *where,
                             struct tt_err *err)
{
    struct tt_arena nodes = { 0 };
    struct tt_value *root = NULL;
    tt_status st = tt_json_parse_distinct(&root, &nodes, bytes, nbytes, where, err);
    const struct tt_value *map = st == TT_OK ? tt_value_get(root, "weight_map") : NULL;

    if (st == TT_OK && (!map || map->kind != TT_V_MAP))
        st = tt_err_set(err, TT_EFORMAT, "%s: expected an object with a weight_map, found %s", where,
                        map ? tt_value_kind_name(map->kind) : "none");
    if (st == TT_OK)
        st = take_items(out, arena, map, where, err);
    tt_arena_release(&nodes);
    return st;
}

void tt_hf_index_encode(struct tt_buf *out, const struct tt_hf_index *index, uint64_t total_size)
{
    tt_buf_printf(out, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64 "\n  },\n  \"weight_map\": {", total_size);
    for (size_t i = 0; i < index->n; i++) {
        tt_buf_str(out, i ? ",\n    " : "\n    ");
        tt_json_write_str(out, index->items[i].tensor, strlen(index->items[i].tensor));
        tt_buf_str(out, ": ");
        tt_json_write_str(out, index->items[i].file, strlen(index->items[i].file));
    }
    tt_buf_str(out, index->n ? "\n  }\n}\n" : "}\n}\n");
}
