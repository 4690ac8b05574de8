/* Keys as a tree. For the eye they are cut at dots too, where PyTorch's modules nest ("layers.0.attention.wq.weight" is one dict key);
 * brothers that count up and are alike below (layers.0, layers.1 ...) are drawn once, and what has a single child is drawn in one
 * line with it. */
#include <inttypes.h>
#include <string.h>

#include "base/bytes.h"
#include "ckpt/list_private.h"

struct node {
    const char *name; /* into a fqn */
    size_t nname;
    struct node *first, *last, *next; /* children, brother */
    const struct tt_entry *entry; /* NULL: there is none at this place */
    uint64_t hash; /* of all that is drawn below, and of the entry */
};

struct line {
    const char *left, *right;
    struct line *next;
};

struct tree {
    struct tt_lister *l;
    struct tt_map by_prefix; /* from the fqn up to a part's end to its node */
    struct node **nodes;     /* (n) */
    size_t n, cap;
    struct line *first, *last;
    struct tt_buf margin, left;
    int width;
};

static tt_status nomem(const struct tree *t) { return tt_err_nomem(t->l->err, t->l->arena.used, "a tree"); }

/* --- making it ---------------------------------------------------------------------------------------------------------------- */

static tt_status new_node(struct tree *t, struct node *parent, const char *name, size_t nname, struct node **out)
{
    struct node *node = tt_arena_alloc(&t->l->arena, sizeof *node);
    if (!node)
        return nomem(t);
    if (t->n == t->cap) {
        const size_t cap = t->cap ? t->cap * 2 : 256;
        struct node **nodes = tt_arena_array(&t->l->arena, cap, sizeof(struct node *));
        if (!nodes)
            return nomem(t);
        if (t->n)
            memcpy(nodes, t->nodes, t->n * sizeof(struct node *));
        t->nodes = nodes;
        t->cap = cap;
    }
    *node = (struct node){ .name = name, .nname = nname };
    t->nodes[t->n++] = node;
    if (parent) {
        if (parent->last)
            parent->last->next = node;
        else
            parent->first = node;
        parent->last = node;
    }
    *out = node;
    return TT_OK;
}

static tt_status add_entry(struct tree *t, const struct tt_entry *e)
{
    const size_t n = strlen(e->fqn);
    struct node *at = t->nodes[0];
    tt_status st = TT_OK;

    for (size_t begin = 0, end; begin <= n && st == TT_OK; begin = end + 1) {
        const char *dot = strchr(e->fqn + begin, '.');
        uint64_t i;
        end = dot ? (size_t)(dot - e->fqn) : n;
        if (tt_map_get(&t->by_prefix, e->fqn, end, &i)) {
            at = t->nodes[i];
            continue;
        }
        st = new_node(t, at, e->fqn + begin, end - begin, &at);
        if (st == TT_OK)
            st = tt_map_put(&t->by_prefix, e->fqn, end, t->n - 1, NULL, NULL, t->l->err);
    }
    at->entry = e;
    return st;
}

/* --- what is alike ------------------------------------------------------------------------------------------------------------ */

/* What stands right of the entry's name. */
static tt_status put_right(struct tree *t, const struct tt_entry *e, struct tt_buf *out)
{
    const struct tt_buf *value = NULL;
    char dims[400];

    if (e->kind == TT_ENTRY_TENSOR) {
        tt_buf_printf(out, "%s %s", tt_dtype_name(e->dtype), tt_dims_text(dims, sizeof dims, e->ndim, e->shape));
        return TT_OK;
    }
    const tt_status st = tt_list_value(t->l, e, false, &value);
    if (st == TT_OK)
        tt_buf_put(out, value->data, value->len);
    return st;
}

static uint64_t mix(uint64_t hash, const void *bytes, size_t nbytes)
{
    const uint64_t both[] = { hash, tt_hash_bytes(bytes, nbytes) };
    return tt_hash_bytes(both, sizeof both);
}

/* Children were made behind their parents: from the last node to the first each finds its children's hashes ready. */
static tt_status hash_all(struct tree *t)
{
    struct tt_buf text = { 0 };
    tt_status st = TT_OK;

    for (size_t i = t->n; i-- > 0 && st == TT_OK;) {
        struct node *node = t->nodes[i];
        uint64_t hash = node->entry ? 1 : 2;
        if (node->entry) {
            tt_buf_clear(&text);
            st = put_right(t, node->entry, &text);
            hash = mix(hash, text.data, text.len);
        }
        for (const struct node *child = node->first; child; child = child->next) {
            hash = mix(hash, child->name, child->nname);
            hash = mix(hash, &child->hash, sizeof child->hash);
        }
        node->hash = hash;
    }
    tt_buf_release(&text);
    return st;
}

/* A whole number below 10^9 without leading zeros; -1: it is none. */
static int64_t number_of(const struct node *node)
{
    int64_t v = 0;
    if (node->nname == 0 || node->nname > 9 || (node->name[0] == '0' && node->nname > 1))
        return -1;
    for (size_t i = 0; i < node->nname; i++) {
        if (node->name[i] < '0' || node->name[i] > '9')
            return -1;
        v = 10 * v + (node->name[i] - '0');
    }
    return v;
}

/* The last of the brothers from `first` on that are like it and count up. */
static const struct node *last_alike(const struct node *first)
{
    const struct node *at = first;
    if (number_of(first) < 0 || !first->first) /* leaves are few and are looked for */
        return first;
    while (at->next && at->next->hash == first->hash && number_of(at->next) == number_of(at) + 1)
        at = at->next;
    return at;
}

/* --- drawing ------------------------------------------------------------------------------------------------------------------ */

static tt_status add_line(struct tree *t, const struct tt_entry *e)
{
    struct line *line = tt_arena_alloc(&t->l->arena, sizeof *line);
    struct tt_buf right = { 0 };
    tt_status st = e ? put_right(t, e, &right) : TT_OK;

    if (st == TT_OK && line) {
        line->left = tt_arena_strn(&t->l->arena, (const char *)t->left.data, t->left.len);
        line->right = e ? tt_arena_strn(&t->l->arena, (const char *)right.data, right.len) : "";
    }
    tt_buf_release(&right);
    if (st == TT_OK && (!line || !line->left || !line->right || t->left.failed))
        st = nomem(t);
    if (st != TT_OK)
        return st;
    const int width = tt_show_width(line->left, strlen(line->left));
    if (e && width > t->width)
        t->width = width;
    if (t->last)
        t->last->next = line;
    else
        t->first = line;
    t->last = line;
    return TT_OK;
}

static void put_name(struct tree *t, const struct node *node)
{
    char *name = tt_arena_strn(&t->l->scratch, node->name, node->nname);
    if (name)
        tt_show_key(&t->left, name);
    t->left.failed |= !name;
}

/* One node or several that are alike, with what has one child only in the same line; *node moves to what has the children. */
static void put_names(struct tree *t, const struct node **node, const struct node *last)
{
    tt_arena_release(&t->l->scratch);
    if (*node != last)
        tt_buf_printf(&t->left, "%" PRId64 "..%" PRId64, number_of(*node), number_of(last));
    else
        put_name(t, *node);
    while (!(*node)->entry && (*node)->first && !(*node)->first->next) {
        *node = (*node)->first;
        tt_buf_byte(&t->left, '.');
        put_name(t, *node);
    }
}

static tt_status draw_children(struct tree *t, const struct node *parent, int depth)
{
    const size_t margin = t->margin.len;
    tt_status st = TT_OK;

    if (depth > TT_VALUE_DEPTH_MAX)
        return tt_err_set(t->l->err, TT_EUNSUPPORTED, "%s: keys of more than %d parts are not drawn", t->l->path, TT_VALUE_DEPTH_MAX);
    for (const struct node *node = parent->first, *next; node && st == TT_OK; node = next) {
        const struct node *last = last_alike(node), *at = node;
        next = last->next;
        tt_buf_clear(&t->left);
        tt_buf_put(&t->left, t->margin.data, t->margin.len);
        tt_buf_str(&t->left, next ? "\u251c\u2500 " : "\u2514\u2500 ");
        put_names(t, &at, last);
        st = add_line(t, at->entry);
        if (st != TT_OK || !at->first)
            continue;
        tt_buf_str(&t->margin, next ? "\u2502  " : "   ");
        st = draw_children(t, at, depth + 1);
        t->margin.len = margin;
    }
    return st;
}

static tt_status print_lines(struct tree *t)
{
    tt_status st = TT_OK;

    for (const struct line *line = t->first; line && st == TT_OK; line = line->next) {
        const size_t begin = t->l->text.len;
        tt_buf_str(&t->l->text, line->left);
        if (line->right[0]) {
            tt_show_pad(&t->l->text, begin, t->width + 2);
            tt_buf_str(&t->l->text, line->right);
        }
        tt_buf_byte(&t->l->text, '\n');
        st = tt_list_flush(t->l, false);
    }
    return st;
}

tt_status tt_list_tree(struct tt_lister *l)
{
    struct tree t = { .l = l };
    struct node *root = NULL;
    tt_status st = new_node(&t, NULL, "", 0, &root);

    for (size_t i = 0; i < l->ckpt->entries.n && st == TT_OK; i++)
        if (tt_key_taken(&l->how->filter, l->ckpt->entries.items[i].fqn))
            st = add_entry(&t, &l->ckpt->entries.items[i]);
    if (st == TT_OK)
        st = hash_all(&t);
    if (st == TT_OK)
        st = draw_children(&t, root, 0);
    if (st == TT_OK)
        st = print_lines(&t);
    tt_map_release(&t.by_prefix);
    tt_buf_release(&t.margin);
    tt_buf_release(&t.left);
    return st;
}
