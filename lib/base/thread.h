/* lib/base/thread.h: a thread that works for the program's own, which alone hears signals. */
#ifndef TT_BASE_THREAD_H
#define TT_BASE_THREAD_H

#include <pthread.h>

/* pthread_create with every signal blocked that is not the thread's own fault. A handler runs on the stack of the thread that it
 * interrupts, and a kernel of oneDNN may have its stack pointer in the heap just then (lib/cli/signals.c). Returns pthread_create's. */
int tt_thread_start(pthread_t *out, void *(*run)(void *), void *ctx);

#endif
