/* lib/data/tokenizer.h: text to token ids and back, as Hugging Face tokenizers 0.23 and TorchTitan's wrapper around it do it.
 *
 * A folder holds, as model.hf_assets_path names it, in this order of preference (TorchTitan's):
 *   tokenizer.json                  the whole pipeline: added tokens, normalizer, pre-tokenizer, model, post-processor, decoder
 *   vocab.json|txt + merges.txt     byte-level BPE with GPT-2's splitting and no prefix space
 *   vocab.json|txt                  whole texts between special tokens are words, "[UNK]" stands for those that are not there
 * and beside it, if there, tokenizer_config.json: its special tokens are added to the pipeline's and name BOS and EOS.
 *
 * Text goes: split at added tokens, normalize, split at normalized added tokens, pre-tokenize into words, the model (merge pairs
 * by rank, or look the word up), template. A component or a setting that titan does not have is an error that names it, never a
 * guess.
 *
 * A tokenizer never changes after it was opened and is shared between threads; an encoder holds the scratch memory and the word
 * cache of one thread. */
#ifndef TT_DATA_TOKENIZER_H
#define TT_DATA_TOKENIZER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

struct tt_tokenizer;
struct tt_encoder;

/* Token ids that grow at the end. A zeroed struct is empty. */
struct tt_tokens {
    int32_t *id;
    size_t n, cap;
};

void tt_tokens_release(struct tt_tokens *tokens);
TT_MUST_CHECK tt_status tt_tokens_append(struct tt_tokens *tokens, const int32_t *id, size_t n, struct tt_err *err);

/* TT_ENOENT: no such folder, or none of the files above in it. TT_EFORMAT: a file that is not what it should be, with its name
 * and place. TT_EUNSUPPORTED: a component that titan does not have, by name. */
TT_MUST_CHECK tt_status tt_tokenizer_open(struct tt_tokenizer **out, const char *dir, struct tt_err *err);
void tt_tokenizer_free(struct tt_tokenizer *tok);

enum { TT_NO_TOKEN = -1 };

/* The files that it was made of: "tokenizer.json", "vocab.json + merges.txt", "vocab.txt" ... */
const char *tt_tokenizer_source(const struct tt_tokenizer *tok);

/* TT_NO_TOKEN where unset: no tokenizer_config.json, no such key in it, or (EOS) the same text as BOS. */
int32_t tt_tokenizer_bos(const struct tt_tokenizer *tok);
int32_t tt_tokenizer_eos(const struct tt_tokenizer *tok);
/* Distinct tokens, the added ones too: what TorchTitan calls the vocabulary size. */
int64_t tt_tokenizer_nvocab(const struct tt_tokenizer *tok);
/* One more than the largest id, which is more where ids have gaps: a model's vocab_size must be at least this. */
int64_t tt_tokenizer_nids(const struct tt_tokenizer *tok);
int32_t tt_tokenizer_id(const struct tt_tokenizer *tok, const char *token, size_t nbytes); /* TT_NO_TOKEN: none */

/* tok is borrowed and must outlive the encoder. */
TT_MUST_CHECK tt_status tt_encoder_new(struct tt_encoder **out, const struct tt_tokenizer *tok, struct tt_err *err);
void tt_encoder_free(struct tt_encoder *enc);

enum tt_encode_flags {
    TT_ENCODE_BOS = 1,           /* put BOS before the text, where the pipeline does not do so itself */
    TT_ENCODE_EOS = 2,           /* and EOS behind it, likewise */
    TT_ENCODE_DEFAULT = 4,       /* both as tokenizer_config.json's add_bos_token and add_eos_token say (absent: no) */
    TT_ENCODE_NO_TEMPLATE = 8,   /* leave out what the pipeline's own template adds */
};

/* Appends the ids of text, which is UTF-8 (TT_EFORMAT with the offset where it is not). Datasets pass BOS | EOS, as
 * TorchTitan's do. */
TT_MUST_CHECK tt_status tt_encode(struct tt_encoder *enc, struct tt_tokens *out, const char *text, size_t nbytes, int flags,
                                  struct tt_err *err);

/* Appends the text of ids. Bytes that are not UTF-8 become U+FFFD, an id that no token has is left out; both as there. */
TT_MUST_CHECK tt_status tt_decode(const struct tt_tokenizer *tok, struct tt_buf *out, const int32_t *id, size_t n,
                                  bool skip_special, struct tt_err *err);

/* The same for ids that come one at a time, as a sampler makes them. */
struct tt_decode_stream;

/* tok is borrowed and must outlive the stream. */
TT_MUST_CHECK tt_status tt_decode_stream_new(struct tt_decode_stream **out, const struct tt_tokenizer *tok, bool skip_special,
                                             struct tt_err *err);
void tt_decode_stream_free(struct tt_decode_stream *stream);

/* Appends the text that id completes: nothing while a character's bytes are not all there. TT_EUNSUPPORTED where the decoder makes
 * id change text that has gone out already. */
TT_MUST_CHECK tt_status tt_decode_stream_put(struct tt_decode_stream *stream, struct tt_buf *out, int32_t id, struct tt_err *err);

/* Appends what was held back, with U+FFFD for what never became a character. The stream then is as new. */
TT_MUST_CHECK tt_status tt_decode_stream_end(struct tt_decode_stream *stream, struct tt_buf *out, struct tt_err *err);

#endif
