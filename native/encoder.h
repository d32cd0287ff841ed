/* The forward pass of a BERT-like encoder with int8 linear layers, for one core.

   Letters: V vocabulary, D width, K inputs and N outputs of a linear layer, L labels, C tags.

   Every number of a token is computed from its row alone and in the same order whatever stands beside it, so an answer
   does not depend on the batch, bit for bit. */
#ifndef NANOSMITH_ENCODER_H
#define NANOSMITH_ENCODER_H

#include <stddef.h>
#include <stdint.h>

#define ABI 2 /* of the structs and functions here and in decoder.h; native/library.py of the package has the same number */
#define API __attribute__((visibility("default")))

enum { OK = 0, BAD_SHAPE = 1, BAD_ID = 2, NO_MEMORY = 3, BAD_KERNEL = 4 };
enum kernel { PORTABLE = 0, AVX2 = 1, AVX512_VNNI = 2, KERNELS = 3 };

/* y = (x * factor) @ (weight * scale) + bias. weight (K, N) in -64 … 64, row by row; scale (N), factor (K);
   bias (N) or NULL. */
struct linear {
    int32_t inner, outer;
    const int8_t *weight;
    const float *scale, *bias, *factor;
};

struct layer {
    struct linear qkv, attention_out, up, down;
    const float *norm1_scale, *norm1_shift, *norm2_scale, *norm2_shift; /* (D) */
    int32_t heads;
};

/* What an encoder is. Arrays stay the caller's and must live as long as the encoder; those of linear layers are copied.
   A head is absent where its count (labels, tags) is 0. Heads' weights (D, L or C) and biases are padded to a multiple
   of 8 columns. */
struct description {
    int32_t vocabulary, width, layer_count, max_tokens, codes, labels, tags, pools_first;
    float epsilon;
    const int8_t *words;      /* (V, D) */
    const float *word_scales; /* (V) */
    const float *positions;   /* (max_tokens, D) */
    const float *norm_scale, *norm_shift;
    const float *code_table; /* (codes, D) */
    const struct layer *layers;
    const float *head_weight, *head_bias, *tag_weight, *tag_bias;
};

/* One call's rows. `ids` and `codes` (sum of lengths; codes NULL without a table). Outputs may be NULL where they are
   not wanted: logits (rows, L), embeddings (rows, D), tags (tokens, C), tokens (tokens, D). */
struct request {
    int32_t rows;
    const int32_t *lengths, *ids, *codes;
    float *logits, *embeddings, *tags, *tokens;
};

struct encoder;

API int32_t nanosmith_abi(void);
/* Whether this machine can run a kernel. */
API int32_t nanosmith_supports(int32_t kernel);
/* 0 and an encoder, or an error code. */
API int32_t nanosmith_open(const struct description *description, int32_t kernel, struct encoder **opened);
API void nanosmith_close(struct encoder *encoder);
/* May be called by several threads at once. 0 or an error code; outputs are then not to be read. */
API int32_t nanosmith_run(struct encoder *encoder, const struct request *request);

#endif
