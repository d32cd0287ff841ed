/* For CPUs with AVX2 and without VNNI. vpmaddubsw adds two products in 16 bits: of halves of a byte (0 … 15) and 8 bits
   they cannot overflow, so weights of 8 bits are multiplied half by half. */
#include "decoder_internal.h"

#include <immintrin.h>

#define ROWS 4 /* outputs that are computed together */
#define INLINE static inline __attribute__((always_inline))

INLINE __m256i products(__m256i halves, __m256i x) { return _mm256_maddubs_epi16(halves, x); }

/* One vector of 32 bytes of weights: two blocks of 4 bits, or one of 8. */
INLINE __m256 add(const int bits, __m256 sum, __m256i w, __m256 scales, const struct activations *x, size_t vector) {
    const __m256i ones = _mm256_set1_epi16(1), mask = _mm256_set1_epi8(15);
    const __m256i low = _mm256_loadu_si256((const __m256i *)(x->low + vector * 32));
    const __m256i high = bits == 4 ? _mm256_loadu_si256((const __m256i *)(x->high + vector * 32)) : low;
    const __m256i one = products(_mm256_and_si256(w, mask), low);
    const __m256i two = products(_mm256_and_si256(_mm256_srli_epi16(w, 4), mask), high);
    __m256i found = _mm256_loadu_si256((const __m256i *)(x->start + vector * 8));
    if (bits == 4) {
        found = _mm256_add_epi32(found, _mm256_madd_epi16(_mm256_add_epi16(one, two), ones));
    } else {
        const __m256i sixteenths = _mm256_madd_epi16(two, ones);
        found = _mm256_add_epi32(found, _mm256_add_epi32(_mm256_madd_epi16(one, ones), _mm256_slli_epi32(sixteenths, 4)));
    }
    const __m256 scale = _mm256_mul_ps(scales, _mm256_loadu_ps(x->scale + vector * 8));
    return _mm256_fmadd_ps(_mm256_cvtepi32_ps(found), scale, sum);
}

INLINE float total(__m256 v) {
    __m128 sum = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    sum = _mm_add_ps(sum, _mm_movehl_ps(sum, sum));
    return _mm_cvtss_f32(_mm_add_ss(sum, _mm_movehdup_ps(sum)));
}

/* `each` blocks are one vector; where one is left over, half a vector is read. */
INLINE void rows(const int bits, const struct block_linear *linear, const struct activations *x, int32_t n, float *out) {
    const int32_t blocks = linear->inner / BLOCK, each = 8 / bits;
    const size_t bytes = (size_t)blocks * (size_t)bits * 4;
    __m256 sums[ROWS];
    for (int r = 0; r < ROWS; r++) sums[r] = _mm256_setzero_ps();
    for (int32_t block = 0; block < blocks; block += each) {
        const size_t vector = (size_t)(block / each);
#pragma GCC unroll 4
        for (int r = 0; r < ROWS; r++) {
            const uint8_t *weight = linear->weight + (size_t)(n + r) * bytes + vector * 32;
            const float *scale = linear->scale + (size_t)(n + r) * (size_t)blocks + block;
            const int whole = block + each <= blocks;
            const __m256i w = whole ? _mm256_loadu_si256((const __m256i *)weight)
                                    : _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *)weight));
            const __m128 last = bits == 4 ? (whole ? _mm_set1_ps(scale[1]) : _mm_setzero_ps()) : _mm_set1_ps(scale[0]);
            sums[r] = add(bits, sums[r], w, _mm256_set_m128(last, _mm_set1_ps(scale[0])), x, vector);
        }
    }
    for (int r = 0; r < ROWS; r++) out[n + r] = total(sums[r]);
}

/* The last rows of a part may be computed twice. */
INLINE void part(const int bits, const struct block_linear *linear, const struct activations *x, int32_t first,
                 int32_t end, float *out) {
    for (int32_t n = first; n < end; n += ROWS) rows(bits, linear, x, n + ROWS <= end ? n : end - ROWS, out);
}

void dot_avx2(const struct block_linear *linear, const struct activations *x, int32_t first, int32_t end, float *out) {
    if (linear->bits == 4) {
        part(4, linear, x, first, end, out);
    } else {
        part(8, linear, x, first, end, out);
    }
}
