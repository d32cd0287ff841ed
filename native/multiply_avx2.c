/* For CPUs with AVX2 and without VNNI. vpmaddubsw adds two products in 16 bits; the sums of two groups are added there
   before they are widened, which takes a sixth of the work away. pack.c sees to it that nothing overflows. */
#include "internal.h"

#include <immintrin.h>
#include <string.h>

#define ROWS 4 /* of a tile: 4 rows x 2 vectors of sums, and what feeds them, fill the registers */

static inline __m256i four(const uint8_t *a) {
    int32_t value;
    memcpy(&value, a, sizeof value);
    return _mm256_set1_epi32(value);
}

static inline __m256i part(const int8_t *weights, int vector) {
    return _mm256_load_si256((const __m256i *)weights + vector);
}

/* Rows [row, row + count) of one panel; `count` is a constant where this is inlined. */
static inline __attribute__((always_inline)) void tile(const int count, const struct packed *linear, int32_t panel,
                                                       const struct quantised *input, int32_t row, float *out) {
    const __m256i ones = _mm256_set1_epi16(1);
    const uint8_t *a = input->values + (size_t)row * input->stride;
    const size_t stride = input->stride, ahead = (size_t)linear->groups * GROUP_BYTES;
    const int8_t *w = linear->weights + (size_t)panel * ahead;
    __m256i sums[ROWS][2];
    for (int r = 0; r < count; r++) sums[r][0] = sums[r][1] = _mm256_setzero_si256();
    for (int32_t group = 0; group < linear->groups; group += 2, w += 2 * GROUP_BYTES) {
        const __m256i w00 = part(w, 0), w01 = part(w, 1), w10 = part(w, 2), w11 = part(w, 3);
        if (row == 0) { /* the next panel, while this one is read for the first time */
            _mm_prefetch((const char *)w + ahead, _MM_HINT_T1);
            _mm_prefetch((const char *)w + ahead + GROUP_BYTES, _MM_HINT_T1);
        }
#pragma GCC unroll 4
        for (int r = 0; r < count; r++) {
            const __m256i a0 = four(a + (size_t)r * stride + (size_t)group * GROUP);
            const __m256i a1 = four(a + (size_t)r * stride + (size_t)group * GROUP + GROUP);
            const __m256i left = _mm256_add_epi16(_mm256_maddubs_epi16(a0, w00), _mm256_maddubs_epi16(a1, w10));
            const __m256i right = _mm256_add_epi16(_mm256_maddubs_epi16(a0, w01), _mm256_maddubs_epi16(a1, w11));
            sums[r][0] = _mm256_add_epi32(sums[r][0], _mm256_madd_epi16(left, ones));
            sums[r][1] = _mm256_add_epi32(sums[r][1], _mm256_madd_epi16(right, ones));
        }
    }
    for (int32_t e = linear->extra_starts[panel]; e < linear->extra_starts[panel + 1]; e++) {
        const int8_t *extra = linear->extra_weights + (size_t)e * GROUP_BYTES;
        for (int r = 0; r < count; r++) {
            const __m256i a0 = four(a + (size_t)r * stride + (size_t)linear->extra_groups[e] * GROUP);
            for (int v = 0; v < 2; v++) {
                const __m256i weights = _mm256_loadu_si256((const __m256i *)extra + v);
                sums[r][v] = _mm256_add_epi32(sums[r][v], _mm256_madd_epi16(_mm256_maddubs_epi16(a0, weights), ones));
            }
        }
    }
    for (int r = 0; r < count; r++) {
        const __m256i zero = _mm256_set1_epi32(input->zeros[row + r]);
        const __m256 scale = _mm256_set1_ps(input->scales[row + r]);
        for (int v = 0; v < 2; v++) {
            const int32_t n = panel * PANEL + v * 8;
            const __m256i shift = _mm256_mullo_epi32(zero, _mm256_loadu_si256((const __m256i *)(linear->sums + n)));
            const __m256 value = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums[r][v], shift));
            const __m256 scales = _mm256_mul_ps(scale, _mm256_loadu_ps(linear->scale + n));
            _mm256_storeu_ps(out + (size_t)(row + r) * (size_t)linear->outer + n,
                             _mm256_fmadd_ps(value, scales, _mm256_loadu_ps(linear->bias + n)));
        }
    }
}

void multiply_avx2(const struct packed *linear, const struct quantised *input, int32_t rows, float *out) {
    for (int32_t panel = 0; panel < linear->panels; panel++) {
        int32_t row = 0;
        for (; row + 4 <= rows; row += 4) tile(4, linear, panel, input, row, out);
        switch (rows - row) {
            case 3: tile(3, linear, panel, input, row, out); break;
            case 2: tile(2, linear, panel, input, row, out); break;
            case 1: tile(1, linear, panel, input, row, out); break;
            default: break;
        }
    }
}
