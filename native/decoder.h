/* One step of a decoder built as Llama is (RMS norms, rotary positions, grouped queries, SwiGLU), with linear layers of
   4 or 8 bits in blocks and, beside each, an adapter's pair of small matrices.

   Letters: V vocabulary, D width, K inputs and N outputs of a linear layer, H heads, G of them with keys and values of
   their own, W width of a head, R rank.

   Every number is computed by one thread and in the same order, whichever and however many there are. */
#ifndef NANOSMITH_DECODER_H
#define NANOSMITH_DECODER_H

#include "encoder.h"

#define BLOCK 32 /* inputs that share a scale */
#define PLACES 5 /* linear layers of a layer: qkv, attention_out, gate, up, down */

/* y = (weight - half) * scale @ x, half being 8 or 128. weight (N, K / 32, 4 * bits): blocks of 32 numbers, the first of
   two in the low half of a byte; scale (N, K / 32). The layout of ONNX Runtime's MatMulNBits. */
struct block_linear {
    int32_t inner, outer, bits;
    const uint8_t *weight;
    const float *scale;
};

struct decoder_layer {
    struct block_linear linear[PLACES];
    const float *norm1, *norm2; /* (D) */
};

/* What a decoder is. All arrays stay the caller's and must live as long as the decoder: none is copied. */
struct decoder_description {
    int32_t vocabulary, width, layer_count, heads, groups, head_width, positions, threads;
    float epsilon, scale;      /* of norms; of attention's scores */
    const float *words;        /* (V, D), or NULL: those of the head */
    const float *cosine, *sine; /* (positions, W / 2) */
    const float *norm;         /* (D) */
    struct block_linear head;
    const struct decoder_layer *layers;
};

/* y += (x @ a) @ b. a (R, K) and b (R, N) in half precision; row r of b is 0 outside of [starts[r], ends[r]), which are
   multiples of 8. Rank 0: nothing. */
struct pair {
    int32_t rank;
    const uint16_t *a, *b;
    const int32_t *starts, *ends;
};

/* Reads `token` at `position` and writes its keys and values there: cache (layers, 2, G, room, W). logits (V).
   `adapter` (layers, PLACES), or NULL. */
struct step {
    int32_t token, position, room;
    float *cache, *logits;
    const struct pair *adapter;
};

struct decoder;

API int32_t nanosmith_decoder_open(const struct decoder_description *description, int32_t kernel,
                                   struct decoder **opened);
API void nanosmith_decoder_close(struct decoder *decoder);
/* By one thread at a time. */
API int32_t nanosmith_decoder_step(struct decoder *decoder, const struct step *step);

#endif
