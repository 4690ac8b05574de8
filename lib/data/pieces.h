/* lib/data/pieces.h: a text on its way through the tokenizer: cut into pieces, rewritten, cut again.
 *
 * A step reads the pieces p[0, n) and emits the next ones; tt_pieces_turn makes those current. A step that changes the text writes
 * it to tt_pieces_rewrite's buffer, its pieces with offsets in there, and turns with tt_pieces_turn_text. */
#ifndef TT_DATA_PIECES_H
#define TT_DATA_PIECES_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "data/tokenizer.h"

struct tt_piece {
    size_t at, n; /* bytes of `text` */
    int32_t id;   /* an added token, which no later step touches; TT_NO_TOKEN: text */
};

struct tt_pieces {
    const char *text; /* the caller's, or what a step wrote */
    struct tt_piece *p;
    size_t n;
    size_t head; /* how many bytes of `text` stand for the first character of the caller's: a piece among them is the first */

    struct tt_piece *next; /* the rest is private */
    size_t nnext, cap, cap_next;
    struct tt_buf buf[2];
    int cur;
};

void tt_pieces_release(struct tt_pieces *ps);

/* One piece, the whole text; none where it is empty. text is borrowed until the end of the encoding. */
TT_MUST_CHECK tt_status tt_pieces_start(struct tt_pieces *ps, const char *text, size_t nbytes, struct tt_err *err);

/* Empty text is left out. */
TT_MUST_CHECK tt_status tt_pieces_emit(struct tt_pieces *ps, size_t at, size_t n, int32_t id, struct tt_err *err);
void tt_pieces_turn(struct tt_pieces *ps);

struct tt_buf *tt_pieces_rewrite(struct tt_pieces *ps);
TT_MUST_CHECK tt_status tt_pieces_turn_text(struct tt_pieces *ps, struct tt_err *err);

#endif
