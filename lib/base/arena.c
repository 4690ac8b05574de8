#define _GNU_SOURCE
#include "base/arena.h"
#include "base/thread.h"

#include <pthread.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#ifndef MADV_POPULATE_WRITE /* Linux 5.14; an older one says no */
#define MADV_POPULATE_WRITE 23
#endif

struct tt_arena_block {
    struct tt_arena_block *next;
    size_t used, cap;
    size_t nmapped; /* bytes of the mapping that it is; 0: it is calloc's */
    size_t nexpected; /* of the mapping: those whose pages `toucher` makes; 0: there is none */
    pthread_t toucher;
    max_align_t data[];
};

enum { BLOCK_MIN = 4096, BLOCK_MAX = 1 << 25, MAPPED_MIN = 1 << 22, HUGE_PAGE = 1 << 21, ALIGN = alignof(max_align_t) };

/* Zeroed, room for cap bytes. A large one is mapped, on huge pages where the system has them: for what is decoded from the metadata
 * of a large job, touching page after page would take longer than the decoding. */
static struct tt_arena_block *new_block(size_t cap)
{
    struct tt_arena_block *b;
    size_t nbytes = sizeof *b + cap;

    if (cap >= MAPPED_MIN) {
        nbytes = (nbytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
        b = mmap(NULL, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (b == MAP_FAILED)
            return NULL;
        madvise(b, nbytes, MADV_HUGEPAGE); /* without it the pages are small, and that is all */
        b->nmapped = nbytes;
        b->cap = nbytes - sizeof *b;
        return b;
    }
    b = calloc(1, nbytes);
    if (b)
        b->cap = cap;
    return b;
}

static void *touch(void *arg)
{
    struct tt_arena_block *b = arg;
    madvise(b, b->nexpected, MADV_POPULATE_WRITE);
    return NULL;
}

static void free_block(struct tt_arena_block *b)
{
    if (b->nexpected)
        pthread_join(b->toucher, NULL);
    if (b->nmapped)
        munmap(b, b->nmapped);
    else
        free(b);
}

void tt_arena_release(struct tt_arena *arena)
{
    if (!arena)
        return;
    for (struct tt_arena_block *b = arena->head, *next; b; b = next) {
        next = b->next;
        free_block(b);
    }
    *arena = (struct tt_arena){ .limit = arena->limit };
}

void *tt_arena_alloc(struct tt_arena *arena, size_t nbytes)
{
    if (nbytes > SIZE_MAX / 2)
        return NULL;
    const size_t need = (nbytes + (nbytes == 0) + ALIGN - 1) / ALIGN * ALIGN;
    if (arena->limit && need > arena->limit - (arena->used < arena->limit ? arena->used : arena->limit))
        return NULL;

    struct tt_arena_block *b = arena->head;
    if (!b || b->cap - b->used < need) {
        /* Blocks double, so that small documents stay small and large ones do not make thousands of blocks. */
        size_t cap = b ? b->cap * 2 : BLOCK_MIN;
        if (cap > BLOCK_MAX)
            cap = BLOCK_MAX;
        if (cap < need)
            cap = need;
        struct tt_arena_block *fresh = new_block(cap);
        if (!fresh)
            return NULL;
        fresh->next = b;
        arena->head = b = fresh;
    }
    void *p = (char *)b->data + b->used;
    b->used += need;
    arena->used += need;
    return p;
}

void tt_arena_expect(struct tt_arena *arena, size_t nbytes)
{
    struct tt_arena_block *b = nbytes < MAPPED_MIN || nbytes > BLOCK_MAX * 4 ? NULL : new_block(nbytes);

    if (!b)
        return;
    b->next = arena->head;
    arena->head = b;
    b->nexpected = nbytes / HUGE_PAGE * HUGE_PAGE;
    if (tt_thread_start(&b->toucher, touch, b) != 0)
        b->nexpected = 0;
}

void *tt_arena_array(struct tt_arena *arena, size_t n, size_t size)
{
    size_t nbytes;
    return __builtin_mul_overflow(n, size, &nbytes) ? NULL : tt_arena_alloc(arena, nbytes);
}

char *tt_arena_strn(struct tt_arena *arena, const char *s, size_t n)
{
    char *copy = n < SIZE_MAX ? tt_arena_alloc(arena, n + 1) : NULL;
    if (copy && n)
        memcpy(copy, s, n);
    return copy;
}

char *tt_arena_str(struct tt_arena *arena, const char *s) { return tt_arena_strn(arena, s, strlen(s)); }

char *tt_arena_printf(struct tt_arena *arena, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    const int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = n < 0 ? NULL : tt_arena_alloc(arena, (size_t)n + 1);
    if (s)
        vsnprintf(s, (size_t)n + 1, fmt, again);
    va_end(again);
    return s;
}
