/* lib/comm/links.h: a TCP connection between every two ranks of a world of processes, for what must get through when its collectives do
 * not: small messages, none of which anybody waits for. */
#ifndef TT_COMM_LINKS_H
#define TT_COMM_LINKS_H

#include "base/buf.h"
#include "comm/comm.h"

enum { TT_LINK_TEXT_MAX = 64 << 10 };

struct tt_link {
    int fd; /* -1: this rank itself, or closed */
    struct tt_buf in, out;
};

struct tt_links {
    struct tt_world *world;
    struct tt_link *link;  /* (world->size) by rank */
    struct pollfd *polled; /* (world->size) */
};

/* Every rank calls it. Ranks of one machine connect over its loopback, others to the addresses that a rank's machine has. TT_EIO: a rank
 * cannot be reached, or not all have come within timeout_s. */
TT_MUST_CHECK tt_status tt_links_open(struct tt_links *links, struct tt_world *world, double timeout_s, struct tt_err *err);
void tt_links_close(struct tt_links *links);

/* Sends what the connection takes without waiting, and the rest before the next; nothing where it is closed, or where an earlier message
 * has not gone yet. */
void tt_links_send(struct tt_links *links, int rank, char kind, const void *bytes, size_t nbytes);

/* Waits up to timeout_s for anything to come, and gives each message to fn; kind 0, without bytes: the connection has closed. */
typedef void tt_link_fn(void *ctx, int rank, char kind, const void *bytes, size_t nbytes);
void tt_links_poll(struct tt_links *links, double timeout_s, tt_link_fn *fn, void *ctx);

#endif
