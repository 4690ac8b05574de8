/* lib/base/arena.h: memory that is freed together.
 *
 * What is parsed from a file (values, catalogues, tables) lives in one arena whose owner frees it whole. `limit` bounds what
 * hostile input can make it hold. */
#ifndef TT_BASE_ARENA_H
#define TT_BASE_ARENA_H

#include <stddef.h>

struct tt_arena_block;

struct tt_arena {
    struct tt_arena_block *head;
    size_t used;  /* bytes handed out */
    size_t limit; /* at most this many; 0: no limit */
};

/* A zeroed struct is an empty arena without a limit. */
void tt_arena_release(struct tt_arena *arena);

/* Zeroed bytes, aligned for any type; NULL where there is no memory or the limit is reached. nbytes 0 gives a valid pointer. */
void *tt_arena_alloc(struct tt_arena *arena, size_t nbytes);

/* nbytes will be asked for soon, or nearly so much: where they are many, another thread has the kernel make their pages meanwhile. */
void tt_arena_expect(struct tt_arena *arena, size_t nbytes);

/* Zeroed array of n elements of size bytes; NULL also where n * size overflows. */
void *tt_arena_array(struct tt_arena *arena, size_t n, size_t size);

/* Copies n bytes of s and ends them with a NUL. */
char *tt_arena_strn(struct tt_arena *arena, const char *s, size_t n);
char *tt_arena_str(struct tt_arena *arena, const char *s);
char *tt_arena_printf(struct tt_arena *arena, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
