#include "data/pieces.h"

#include <stdlib.h>

#include "data/unicode.h"

void tt_pieces_release(struct tt_pieces *ps)
{
    free(ps->p);
    free(ps->next);
    tt_buf_release(&ps->buf[0]);
    tt_buf_release(&ps->buf[1]);
    *ps = (struct tt_pieces){ 0 };
}

tt_status tt_pieces_start(struct tt_pieces *ps, const char *text, size_t nbytes, struct tt_err *err)
{
    ps->text = text;
    ps->nnext = 0;
    ps->head = 0;
    if (nbytes > 0)
        tt_utf8_get(text, &ps->head);
    const tt_status st = tt_pieces_emit(ps, 0, nbytes, TT_NO_TOKEN, err);
    tt_pieces_turn(ps);
    return st;
}

tt_status tt_pieces_emit(struct tt_pieces *ps, size_t at, size_t n, int32_t id, struct tt_err *err)
{
    if (n == 0)
        return TT_OK;
    if (ps->nnext == ps->cap_next) {
        const size_t cap = ps->cap_next ? ps->cap_next * 2 : 256;
        struct tt_piece *bigger = realloc(ps->next, cap * sizeof *bigger);
        if (!bigger)
            return tt_err_nomem(err, cap * sizeof *bigger, "the words of a text");
        ps->next = bigger;
        ps->cap_next = cap;
    }
    ps->next[ps->nnext++] = (struct tt_piece){ at, n, id };
    return TT_OK;
}

void tt_pieces_turn(struct tt_pieces *ps)
{
    struct tt_piece *const p = ps->p;
    const size_t cap = ps->cap;
    ps->p = ps->next;
    ps->n = ps->nnext;
    ps->cap = ps->cap_next;
    ps->next = p;
    ps->nnext = 0;
    ps->cap_next = cap;
}

struct tt_buf *tt_pieces_rewrite(struct tt_pieces *ps)
{
    struct tt_buf *out = &ps->buf[!ps->cur];
    tt_buf_clear(out);
    return out;
}

tt_status tt_pieces_turn_text(struct tt_pieces *ps, struct tt_err *err)
{
    ps->cur = !ps->cur;
    const tt_status st = tt_buf_check(&ps->buf[ps->cur], "a text", err);
    if (st != TT_OK)
        return st;
    ps->text = (const char *)ps->buf[ps->cur].data;
    tt_pieces_turn(ps);
    return TT_OK;
}
