#include "data/unicode.h"

#include <string.h>

#include <utf8proc.h>

/* Oniguruma 6.9.10 against Unicode 14, by asking \p{Lu}, \p{Ll} ... of each code point. */
const struct tt_unicode_range tt_unicode_newer[] = {
    { 0x897, 0x897, "Mn" }, { 0xcf3, 0xcf3, "Mc" }, { 0xece, 0xece, "Mn" }, { 0x1b4e, 0x1b4f, "Po" }, { 0x1b7f, 0x1b7f, "Po" },
    { 0x1c89, 0x1c89, "Lu" }, { 0x1c8a, 0x1c8a, "Ll" }, { 0x2427, 0x2429, "So" }, { 0x2ffc, 0x2fff, "So" },
    { 0x31e4, 0x31e5, "So" }, { 0x31ef, 0x31ef, "So" }, { 0xa7cb, 0xa7cc, "Lu" }, { 0xa7cd, 0xa7cd, "Ll" },
    { 0xa7da, 0xa7da, "Lu" }, { 0xa7db, 0xa7db, "Ll" }, { 0xa7dc, 0xa7dc, "Lu" }, { 0x105c0, 0x105f3, "Lo" },
    { 0x10d40, 0x10d49, "Nd" }, { 0x10d4a, 0x10d4d, "Lo" }, { 0x10d4e, 0x10d4e, "Lm" }, { 0x10d4f, 0x10d4f, "Lo" },
    { 0x10d50, 0x10d65, "Lu" }, { 0x10d69, 0x10d6d, "Mn" }, { 0x10d6e, 0x10d6e, "Pd" }, { 0x10d6f, 0x10d6f, "Lm" },
    { 0x10d70, 0x10d85, "Ll" }, { 0x10d8e, 0x10d8f, "Sm" }, { 0x10ec2, 0x10ec4, "Lo" }, { 0x10efc, 0x10eff, "Mn" },
    { 0x1123f, 0x11240, "Lo" }, { 0x11241, 0x11241, "Mn" }, { 0x11380, 0x11389, "Lo" }, { 0x1138b, 0x1138b, "Lo" },
    { 0x1138e, 0x1138e, "Lo" }, { 0x11390, 0x113b5, "Lo" }, { 0x113b7, 0x113b7, "Lo" }, { 0x113b8, 0x113ba, "Mc" },
    { 0x113bb, 0x113c0, "Mn" }, { 0x113c2, 0x113c2, "Mc" }, { 0x113c5, 0x113c5, "Mc" }, { 0x113c7, 0x113ca, "Mc" },
    { 0x113cc, 0x113cd, "Mc" }, { 0x113ce, 0x113ce, "Mn" }, { 0x113cf, 0x113cf, "Mc" }, { 0x113d0, 0x113d0, "Mn" },
    { 0x113d1, 0x113d1, "Lo" }, { 0x113d2, 0x113d2, "Mn" }, { 0x113d3, 0x113d3, "Lo" }, { 0x113d4, 0x113d5, "Po" },
    { 0x113d7, 0x113d8, "Po" }, { 0x113e1, 0x113e2, "Mn" }, { 0x116d0, 0x116e3, "Nd" }, { 0x11b00, 0x11b09, "Po" },
    { 0x11bc0, 0x11be0, "Lo" }, { 0x11be1, 0x11be1, "Po" }, { 0x11bf0, 0x11bf9, "Nd" }, { 0x11f00, 0x11f01, "Mn" },
    { 0x11f02, 0x11f02, "Lo" }, { 0x11f03, 0x11f03, "Mc" }, { 0x11f04, 0x11f10, "Lo" }, { 0x11f12, 0x11f33, "Lo" },
    { 0x11f34, 0x11f35, "Mc" }, { 0x11f36, 0x11f3a, "Mn" }, { 0x11f3e, 0x11f3f, "Mc" }, { 0x11f40, 0x11f40, "Mn" },
    { 0x11f41, 0x11f41, "Mc" }, { 0x11f42, 0x11f42, "Mn" }, { 0x11f43, 0x11f4f, "Po" }, { 0x11f50, 0x11f59, "Nd" },
    { 0x11f5a, 0x11f5a, "Mn" }, { 0x1342f, 0x1342f, "Lo" }, { 0x13439, 0x1343f, "Cf" }, { 0x13440, 0x13440, "Mn" },
    { 0x13441, 0x13446, "Lo" }, { 0x13447, 0x13455, "Mn" }, { 0x13460, 0x143fa, "Lo" }, { 0x16100, 0x1611d, "Lo" },
    { 0x1611e, 0x16129, "Mn" }, { 0x1612a, 0x1612c, "Mc" }, { 0x1612d, 0x1612f, "Mn" }, { 0x16130, 0x16139, "Nd" },
    { 0x16d40, 0x16d42, "Lm" }, { 0x16d43, 0x16d6a, "Lo" }, { 0x16d6b, 0x16d6c, "Lm" }, { 0x16d6d, 0x16d6f, "Po" },
    { 0x16d70, 0x16d79, "Nd" }, { 0x18cff, 0x18cff, "Lo" }, { 0x1b132, 0x1b132, "Lo" }, { 0x1b155, 0x1b155, "Lo" },
    { 0x1cc00, 0x1ccef, "So" }, { 0x1ccf0, 0x1ccf9, "Nd" }, { 0x1cd00, 0x1ceb3, "So" }, { 0x1d2c0, 0x1d2d3, "No" },
    { 0x1df25, 0x1df2a, "Ll" }, { 0x1e030, 0x1e06d, "Lm" }, { 0x1e08f, 0x1e08f, "Mn" }, { 0x1e4d0, 0x1e4ea, "Lo" },
    { 0x1e4eb, 0x1e4eb, "Lm" }, { 0x1e4ec, 0x1e4ef, "Mn" }, { 0x1e4f0, 0x1e4f9, "Nd" }, { 0x1e5d0, 0x1e5ed, "Lo" },
    { 0x1e5ee, 0x1e5ef, "Mn" }, { 0x1e5f0, 0x1e5f0, "Lo" }, { 0x1e5f1, 0x1e5fa, "Nd" }, { 0x1e5ff, 0x1e5ff, "Po" },
    { 0x1f6dc, 0x1f6dc, "So" }, { 0x1f774, 0x1f776, "So" }, { 0x1f77b, 0x1f77f, "So" }, { 0x1f7d9, 0x1f7d9, "So" },
    { 0x1f8b2, 0x1f8bb, "So" }, { 0x1f8c0, 0x1f8c1, "So" }, { 0x1fa75, 0x1fa77, "So" }, { 0x1fa87, 0x1fa89, "So" },
    { 0x1fa8f, 0x1fa8f, "So" }, { 0x1faad, 0x1faaf, "So" }, { 0x1fabb, 0x1fabf, "So" }, { 0x1fac6, 0x1fac6, "So" },
    { 0x1face, 0x1facf, "So" }, { 0x1fada, 0x1fadc, "So" }, { 0x1fadf, 0x1fadf, "So" }, { 0x1fae8, 0x1fae9, "So" },
    { 0x1faf7, 0x1faf8, "So" }, { 0x1fbcb, 0x1fbef, "So" }, { 0x2b739, 0x2b739, "Lo" }, { 0x2ebf0, 0x2ee5d, "Lo" },
    { 0x31350, 0x323af, "Lo" },
};
const size_t tt_unicode_nnewer = sizeof tt_unicode_newer / sizeof tt_unicode_newer[0];

/* Code points of Unicode 14 and before that have a decomposition or a combining class, but not in the reference's older tables. */
static const struct { uint32_t first, last; } inert[] = {
    { 0x7fd, 0x7fd }, { 0x898, 0x89f }, { 0x8ca, 0x8d3 }, { 0x9fe, 0x9fe }, { 0xc3c, 0xc3c }, { 0xd3b, 0xd3c },
    { 0xeba, 0xeba }, { 0x1715, 0x1715 }, { 0x1abf, 0x1ace }, { 0x1df6, 0x1dfa }, { 0x32ff, 0x32ff }, { 0xa7f2, 0xa7f4 },
    { 0xa82c, 0xa82c }, { 0xab69, 0xab69 }, { 0x10781, 0x10785 }, { 0x10787, 0x107b0 }, { 0x107b2, 0x107ba },
    { 0x10d24, 0x10d27 }, { 0x10eab, 0x10eac }, { 0x10f46, 0x10f50 }, { 0x10f82, 0x10f85 }, { 0x11070, 0x11070 },
    { 0x1133b, 0x1133b }, { 0x1145e, 0x1145e }, { 0x11839, 0x1183a }, { 0x11938, 0x11938 }, { 0x1193d, 0x1193e },
    { 0x11943, 0x11943 }, { 0x119e0, 0x119e0 }, { 0x11a34, 0x11a34 }, { 0x11a47, 0x11a47 }, { 0x11a99, 0x11a99 },
    { 0x11d42, 0x11d42 }, { 0x11d44, 0x11d45 }, { 0x11d97, 0x11d97 }, { 0x16ff0, 0x16ff1 }, { 0x1e130, 0x1e136 },
    { 0x1e2ae, 0x1e2ae }, { 0x1e2ec, 0x1e2ef }, { 0x1f16c, 0x1f16c }, { 0x1fbf0, 0x1fbf9 },
};

static int by_range(uint32_t cp, uint32_t first, uint32_t last) { return cp < first ? -1 : cp > last; }

static const struct tt_unicode_range *newer(uint32_t cp)
{
    size_t lo = 0, hi = tt_unicode_nnewer;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        const int c = by_range(cp, tt_unicode_newer[mid].first, tt_unicode_newer[mid].last);
        if (c == 0)
            return &tt_unicode_newer[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return NULL;
}

bool tt_unicode_inert(uint32_t cp)
{
    if (cp < inert[0].first)
        return false;
    size_t lo = 0, hi = sizeof inert / sizeof inert[0];
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        const int c = by_range(cp, inert[mid].first, inert[mid].last);
        if (c == 0)
            return true;
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    return newer(cp) != NULL;
}

bool tt_unicode_is_white(uint32_t cp)
{
    return (cp >= 9 && cp <= 13) || cp == 0x20 || cp == 0x85 || cp == 0xa0 || cp == 0x1680 || (cp >= 0x2000 && cp <= 0x200a) ||
           cp == 0x2028 || cp == 0x2029 || cp == 0x202f || cp == 0x205f || cp == 0x3000;
}

/* Letters that Unicode files under symbols: circled and squared Latin ones. */
static bool symbol_letter(uint32_t cp)
{
    return (cp >= 0x24b6 && cp <= 0x24e9) || (cp >= 0x1f130 && cp <= 0x1f149) || (cp >= 0x1f150 && cp <= 0x1f169) ||
           (cp >= 0x1f170 && cp <= 0x1f189);
}

bool tt_unicode_is_word(uint32_t cp)
{
    if (cp == 0x200c || cp == 0x200d || symbol_letter(cp))
        return true;
    const struct tt_unicode_range *r = newer(cp);
    const char *c = r ? r->category : utf8proc_category_string((utf8proc_int32_t)cp);
    return c[0] == 'L' || c[0] == 'M' || strcmp(c, "Nd") == 0 || strcmp(c, "Nl") == 0 || strcmp(c, "Pc") == 0;
}

size_t tt_utf8_check(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        uint64_t eight;
        if (n - i >= sizeof eight && (memcpy(&eight, s + i, sizeof eight), (eight & 0x8080808080808080u) == 0)) {
            i += sizeof eight;
            continue;
        }
        const size_t len = tt_utf8_len(s + i, n - i);
        if (len == 0)
            return i;
        i += len;
    }
    return n;
}

bool tt_ascii_only(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)s[i] >= 0x80)
            return false;
    return true;
}
