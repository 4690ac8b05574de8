#include "base/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"

void tt_map_release(struct tt_map *map)
{
    if (!map)
        return;
    free(map->slots);
    *map = (struct tt_map){ 0 };
}

/* 8 bytes a round, multiply and fold: fast, and good enough for a table that grows by its own load, not by trust. */
uint64_t tt_hash_bytes(const void *bytes, size_t nbytes)
{
    const uint8_t *p = bytes;
    uint64_t h = 0x9e3779b97f4a7c15u ^ nbytes;

    for (; nbytes >= 8; nbytes -= 8, p += 8) {
        const unsigned __int128 m = (unsigned __int128)(h ^ tt_load_le64(p)) * 0xd6e8feb86659fd93u;
        h = (uint64_t)m ^ (uint64_t)(m >> 64);
    }
    uint64_t tail = 0;
    if (nbytes)
        memcpy(&tail, p, nbytes);
    const unsigned __int128 m = (unsigned __int128)(h ^ tail) * 0xa0761d6478bd642fu;
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static struct tt_map_slot *find(const struct tt_map *map, const char *key, size_t nkey, uint64_t hash)
{
    for (size_t i = hash & (map->nslots - 1);; i = (i + 1) & (map->nslots - 1)) {
        struct tt_map_slot *s = &map->slots[i];
        if (!s->key || (s->hash == hash && s->nkey == nkey && memcmp(s->key, key, nkey) == 0))
            return s;
    }
}

static tt_status grow(struct tt_map *map, size_t nslots, struct tt_err *err)
{
    struct tt_map bigger = { .nslots = nslots, .n = map->n };

    bigger.slots = calloc(bigger.nslots, sizeof *bigger.slots);
    if (!bigger.slots)
        return tt_err_nomem(err, bigger.nslots * sizeof *bigger.slots, "a table of names");
    for (size_t i = 0; i < map->nslots; i++)
        if (map->slots[i].key)
            *find(&bigger, map->slots[i].key, map->slots[i].nkey, map->slots[i].hash) = map->slots[i];
    free(map->slots);
    *map = bigger;
    return TT_OK;
}

/* Room for one more than n keys: at most two thirds are full. */
tt_status tt_map_reserve(struct tt_map *map, size_t n, struct tt_err *err)
{
    size_t nslots = map->nslots ? map->nslots : 16;

    while (n + n / 2 >= nslots)
        nslots *= 2;
    return nslots > map->nslots ? grow(map, nslots, err) : TT_OK;
}

tt_status tt_map_put(struct tt_map *map, const char *key, size_t nkey, uint64_t value, bool *added, uint64_t *old,
                     struct tt_err *err)
{
    const tt_status st = tt_map_reserve(map, map->n, err);
    if (st != TT_OK)
        return st;
    const uint64_t hash = tt_hash_bytes(key, nkey);
    struct tt_map_slot *s = find(map, key, nkey, hash);
    const bool is_new = !s->key;
    if (is_new) {
        *s = (struct tt_map_slot){ key, nkey, hash, value };
        map->n++;
    } else if (old) {
        *old = s->value;
    }
    if (added)
        *added = is_new;
    return TT_OK;
}

bool tt_map_get(const struct tt_map *map, const char *key, size_t nkey, uint64_t *value)
{
    if (map->nslots == 0)
        return false;
    const struct tt_map_slot *s = find(map, key, nkey, tt_hash_bytes(key, nkey));
    if (s->key)
        *value = s->value;
    return s->key != NULL;
}
