/* For CPUs with AVX-512 VNNI: vpdpbusd sums four products in 32 bits, of weights as they lie in the file. One output after
   the other, so that memory is read in one row. */
#include "decoder_internal.h"

#include <immintrin.h>

#define AHEAD 4096 /* bytes of weights that are fetched early: the CPU's own prefetch ends with a page */
#define INLINE static inline __attribute__((always_inline))

/* What one vector of 64 bytes of weights is multiplied with. */
struct part {
    __m512i low, high, start;
    __m512 scale;
    __mmask64 bytes;
    __mmask8 blocks;
};

INLINE struct part part_of(const int bits, const struct activations *x, size_t vector, int32_t blocks) {
    struct part part;
    part.low = _mm512_loadu_si512(x->low + vector * 64);
    part.high = bits == 4 ? _mm512_loadu_si512(x->high + vector * 64) : part.low;
    part.start = _mm512_loadu_si512(x->start + vector * 16);
    part.scale = _mm512_loadu_ps(x->scale + vector * 16);
    part.bytes = blocks * bits * 4 == 64 ? ~(__mmask64)0 : ((__mmask64)1 << (blocks * bits * 4)) - 1;
    part.blocks = (__mmask8)((1 << blocks) - 1);
    return part;
}

INLINE __m512 add(const int bits, __m512 sum, const uint8_t *weight, const float *scale, const struct part *part) {
    const __m512i halves = _mm512_set1_epi8(15);
    const __m512i lane = bits == 4 ? _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0)
                                   : _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i w = _mm512_maskz_loadu_epi8(part->bytes, weight);
    _mm_prefetch((const char *)weight + AHEAD, _MM_HINT_T0);
    __m512i found = part->start;
    if (bits == 4) {
        found = _mm512_dpbusd_epi32(found, _mm512_and_si512(w, halves), part->low);
        found = _mm512_dpbusd_epi32(found, _mm512_and_si512(_mm512_srli_epi16(w, 4), halves), part->high);
    } else {
        found = _mm512_dpbusd_epi32(found, w, part->low);
    }
    const __m128 few = _mm_maskz_loadu_ps(part->blocks, scale);
    const __m512 scales = _mm512_permutexvar_ps(lane, _mm512_castps128_ps512(few));
    return _mm512_fmadd_ps(_mm512_cvtepi32_ps(found), _mm512_mul_ps(scales, part->scale), sum);
}

INLINE float row(const int bits, const struct block_linear *linear, const struct activations *x, int32_t n) {
    const int32_t blocks = linear->inner / BLOCK, each = 16 / bits; /* blocks of one vector */
    const uint8_t *weight = linear->weight + (size_t)n * (size_t)blocks * (size_t)bits * 4;
    const float *scale = linear->scale + (size_t)n * (size_t)blocks;
    __m512 sum = _mm512_setzero_ps();
    int32_t block = 0;
    for (size_t vector = 0; block + each <= blocks; vector++, block += each) {
        const struct part part = part_of(bits, x, vector, each);
        sum = add(bits, sum, weight + vector * 64, scale + block, &part);
    }
    if (block < blocks) {
        const size_t vector = (size_t)(block / each);
        const struct part part = part_of(bits, x, vector, blocks - block);
        sum = add(bits, sum, weight + vector * 64, scale + block, &part);
    }
    return _mm512_reduce_add_ps(sum);
}

void dot_vnni(const struct block_linear *linear, const struct activations *x, int32_t first, int32_t end, float *out) {
    if (linear->bits == 4) {
        for (int32_t n = first; n < end; n++) out[n] = row(4, linear, x, n);
    } else {
        for (int32_t n = first; n < end; n++) out[n] = row(8, linear, x, n);
    }
}
