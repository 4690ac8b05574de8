#include "base/nearest.h"

#include <string.h>

enum { LEN_MAX = 120 };

static char folded(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c + 32 : c == '-' ? '_' : c);
}

static int min3(int a, int b, int c)
{
    const int ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Insertions, deletions and changes that make one of the other. */
static int edit_distance(const char *a, const char *b)
{
    int row[LEN_MAX + 1];
    const int na = (int)strlen(a), nb = (int)strlen(b);
    for (int j = 0; j <= nb; j++)
        row[j] = j;
    for (int i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= nb; j++) {
            const int changed = diagonal + (folded(a[i - 1]) != folded(b[j - 1]));
            diagonal = row[j];
            row[j] = min3(changed, row[j] + 1, row[j - 1] + 1);
        }
    }
    return row[nb];
}

const char *tt_nearest_name(const char *typed, const char *const *names, size_t n)
{
    const char *best = NULL;
    const size_t len = strlen(typed);
    int least = (int)(len / 3) + 1; /* one more than what counts as near */

    for (size_t i = 0; len <= LEN_MAX && i < n; i++) {
        const int d = strlen(names[i]) <= LEN_MAX ? edit_distance(typed, names[i]) : least;
        if (d < least) {
            least = d;
            best = names[i];
        }
    }
    return best;
}
