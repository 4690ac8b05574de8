/* lib/base/map.h: from a byte string to a number (an index into the caller's own array, most often). */
#ifndef TT_BASE_MAP_H
#define TT_BASE_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct tt_map_slot {
    const char *key; /* borrowed; NULL: free */
    size_t nkey;
    uint64_t hash, value;
};

struct tt_map {
    struct tt_map_slot *slots;
    size_t n, nslots; /* nslots is 0 or a power of two */
};

void tt_map_release(struct tt_map *map);

/* Keys are borrowed and must outlive the map. An existing key keeps its value and *old gets it (old may be NULL):
 * *added says which it was (added may be NULL). TT_ENOMEM. */
TT_MUST_CHECK tt_status tt_map_put(struct tt_map *map, const char *key, size_t nkey, uint64_t value, bool *added, uint64_t *old,
                                   struct tt_err *err);

/* Room for n keys in all, so that the map does not grow on the way there. TT_ENOMEM. */
TT_MUST_CHECK tt_status tt_map_reserve(struct tt_map *map, size_t n, struct tt_err *err);

/* True and *value where the key is there. */
bool tt_map_get(const struct tt_map *map, const char *key, size_t nkey, uint64_t *value);

uint64_t tt_hash_bytes(const void *bytes, size_t nbytes);

#endif
