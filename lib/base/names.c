#include "base/names.h"

enum { SHOWN = 10 };

void tt_names_text_add(struct tt_names_text *names, const char *name)
{
    if (names->n++ < SHOWN)
        tt_buf_printf(&names->text, "%s%s", names->n > 1 ? ", " : "", name);
}

const char *tt_names_text_end(struct tt_names_text *names)
{
    if (names->n > SHOWN)
        tt_buf_printf(&names->text, " and %zu more", names->n - SHOWN);
    return tt_buf_cstr(&names->text);
}

void tt_names_text_release(struct tt_names_text *names) { tt_buf_release(&names->text); }
