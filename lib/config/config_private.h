/* lib/config/config_private.h: the table of settings, for those who read it. */
#ifndef TT_CONFIG_CONFIG_PRIVATE_H
#define TT_CONFIG_CONFIG_PRIVATE_H

#include "config/config.h"
#include "value/value.h"

enum tt_setting_kind {
    TT_SET_BOOL,        /* bool */
    TT_SET_INT,         /* int64_t */
    TT_SET_FLOAT,       /* double; an integer will do */
    TT_SET_STR,         /* const char * */
    TT_SET_CHOICE,      /* an enum: one of `choices` */
    TT_SET_MAYBE_INT,   /* struct tt_maybe_int */
    TT_SET_MAYBE_FLOAT, /* struct tt_maybe_float */
    TT_SET_MAYBE_STR,   /* const char *, NULL for None */
    TT_SET_STRS,        /* struct tt_strs: a,b,c */
    TT_SET_STRS_LIST,   /* struct tt_strs_list: a,b c,d */
};

/* What titan does about a setting that a file or the command line gives a value other than `off`. */
enum tt_honour {
    TT_HONOURED,
    TT_IGNORED,  /* one warning: without it a run has the same results, and writes all that it was asked for */
    TT_REFUSED,  /* an error: otherwise it might not */
    TT_ONE,      /* a degree: only 1, checked with the number of ranks */
    TT_GOES_WITH /* nothing: it means something only together with the setting `with`, which is none of the honoured */
};

struct tt_choice {
    const char *name;
    int value;
};

/* What a number must be, besides of its kind. */
struct tt_bound {
    bool (*holds)(double);
    const char *text;
};

struct tt_setting {
    const char *key;
    size_t offset; /* into struct tt_config */
    enum tt_setting_kind kind;
    const char *def;                 /* as on the command line; lists: NULL for an empty one */
    const struct tt_strs *def_strs;  /* STRS */
    const struct tt_choice *choices; /* CHOICE, or the allowed values of a STR; ends with a NULL name */
    const struct tt_bound *bound;    /* INT, FLOAT, MAYBE_INT, MAYBE_FLOAT; NULL: any */
    bool not_empty;                  /* MAYBE_STR: "" is refused */
    bool or_str;                     /* STRS: a file may have a plain string of names with commas */
    enum tt_honour honour;
    const char *off;  /* the value with which nothing is asked for; NULL: false for a BOOL, else none */
    const char *when; /* a BOOL setting without which this one is not looked at; NULL: always */
    const char *with; /* GOES_WITH */
    const char *why;  /* IGNORED, REFUSED, ONE: the end of the message */
    const char *text;
};

extern const struct tt_setting tt_settings[];
extern const size_t tt_nsettings;

struct tt_config_origin {
    const char *where; /* the head of a message; NULL: the default, and the key is the head */
};

/* The row of a key, NULL where there is none. '-' in typed stands for '_'. */
const struct tt_setting *tt_setting_find(const char *typed, size_t n);
/* The nearest setting's name, or NULL; `typed` as it was written. */
const char *tt_setting_nearest(const char *typed);
/* The nearest section's; in the arena. */
const char *tt_setting_nearest_section(const char *typed, struct tt_arena *arena);
/* Some setting is below this section ("training", "quantize.linear"). */
bool tt_setting_is_section(const char *name);

/* Sets the field to the row's default. */
void tt_setting_default(const struct tt_setting *s, struct tt_config *config);
/* Sets the field from text as the command line has it. where heads a message (TT_EINVAL). */
tt_status tt_setting_from_text(const struct tt_setting *s, struct tt_config *config, struct tt_arena *arena, const char *text,
                               const char *where, struct tt_err *err);
/* The same for the words of a TT_SET_STRS_LIST. */
tt_status tt_setting_from_words(const struct tt_setting *s, struct tt_config *config, struct tt_arena *arena, char *const *words,
                                size_t n, const char *where, struct tt_err *err);
/* The same from a value of a file. */
tt_status tt_setting_from_value(const struct tt_setting *s, struct tt_config *config, struct tt_arena *arena,
                                const struct tt_value *value, const char *where, struct tt_err *err);
/* The field as a value; NULL without memory. */
struct tt_value *tt_setting_value(const struct tt_setting *s, const struct tt_config *config, struct tt_arena *arena);
/* "an integer of at least 1", "one of linear, sqrt, cosine", for messages and documents. */
void tt_setting_expected(struct tt_buf *out, const struct tt_setting *s);

/* Every warning and error about settings that are not honoured, and what one setting says about another. */
tt_status tt_config_check(struct tt_config *config, struct tt_arena *arena, const struct tt_log *log, struct tt_err *err);

#endif
