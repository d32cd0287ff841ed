/* Checks the kernel from inside, under the sanitizers: its functions against libm, the products of all kernels against a
   plain sum, and whole encoders on rows of all lengths and on requests that are wrong. Prints what failed. */
#include "check.h"
#include "internal.h"
#include "lanes.h"

#include <math.h>
#include <stdlib.h>

int failures = 0;

static void check_functions(void) {
    float gelu_error = 0, exponential_error = 0;
    for (double x = -12; x < 12; x += 0.001) {
        const float found = gelu(all((float)x))[0];
        const double wanted = (float)x / 2.0 * (1 + erf((float)x / sqrt(2)));
        gelu_error = fmaxf(gelu_error, (float)(fabs(found - wanted) / fmax(1, fabs(x))));
    }
    for (double x = -87; x <= 0; x += 0.001) {
        const float found = exponential(all((float)x))[0];
        exponential_error = fmaxf(exponential_error, (float)fabs(found / exp((float)x) - 1));
    }
    CHECK(gelu_error < 3e-7f, "gelu is off by %g", (double)gelu_error);
    CHECK(exponential_error < 3e-7f, "exponential is off by %g", (double)exponential_error);
    CHECK(exponential(all(-1e30f))[0] < 1e-30f, "what is masked counts");
}

/* Weights that go to the limits now and then, and with `hard` nearly always. */
static int8_t some_weight(int hard) {
    if (hard ? rand() % 8 : rand() % 16 == 0) return rand() % 2 ? 64 : -64;
    return (int8_t)(rand() % 129 - 64);
}

static void *room(size_t bytes) {
    void *memory = NULL;
    if (posix_memalign(&memory, ALIGNMENT, padded(bytes, ALIGNMENT))) exit(2);
    memset(memory, 0, padded(bytes, ALIGNMENT));
    return memory;
}

static void check_product(int32_t inner, int32_t outer, int32_t rows, int hard) {
    int8_t *weight = room((size_t)(inner * outer));
    float *ones = room((size_t)(inner + outer) * sizeof(float));
    for (int32_t i = 0; i < inner * outer; i++) weight[i] = some_weight(hard);
    for (int32_t i = 0; i < inner + outer; i++) ones[i] = 1;
    const struct linear linear = {inner, outer, weight, ones, NULL, ones};
    const size_t stride = padded((size_t)inner, 8);
    struct quantised input = {room(stride * (size_t)rows), stride, room((size_t)rows * 4), room((size_t)rows * 4)};
    for (int32_t row = 0; row < rows; row++) {
        input.scales[row] = 1;
        input.zeros[row] = rand() % 256;
        for (int32_t k = 0; k < inner; k++) input.values[row * (int32_t)stride + k] = hard ? 255 : (uint8_t)rand();
    }
    for (int kernel = 0; kernel < KERNELS; kernel++) {
        if (!nanosmith_supports(kernel)) continue;
        struct packed packed = {0};
        int8_t *memory = room(packed_bytes(&linear));
        CHECK(pack(&packed, &linear, memory, kernel == AVX2) == OK, "a layer was not packed");
        float *out = room((size_t)rows * (size_t)packed.outer * sizeof(float));
        multiply *const multiplies[] = {multiply_portable, multiply_avx2, multiply_vnni};
        multiplies[kernel](&packed, &input, rows, out);
        int wrong = 0;
        for (int32_t row = 0; row < rows; row++)
            for (int32_t n = 0; n < packed.outer; n++) {
                int32_t sum = 0;
                for (int32_t k = 0; n < outer && k < inner; k++)
                    sum += (input.values[row * (int32_t)stride + k] - input.zeros[row]) * weight[k * outer + n];
                wrong += out[row * packed.outer + n] != (float)sum;
            }
        CHECK(!wrong, "kernel %d: %d numbers of %d x %d @ %d are wrong", kernel, wrong, rows, inner, outer);
        free(out);
        free(memory);
        free_packed(&packed);
    }
    free(input.values);
    free(input.scales);
    free(input.zeros);
    free(weight);
    free(ones);
}

static float *some_floats(size_t count, float spread) {
    float *found = room(count * sizeof(float));
    for (size_t i = 0; i < count; i++) found[i] = spread * ((float)(rand() % 2001) / 1000 - 1);
    return found;
}

static struct linear some_linear(int32_t inner, int32_t outer, int bias) {
    int8_t *weight = room((size_t)(inner * outer));
    for (int32_t i = 0; i < inner * outer; i++) weight[i] = some_weight(0);
    float *factor = some_floats((size_t)inner, 0.1f);
    for (int32_t i = 0; i < inner; i++) factor[i] += 1;
    return (struct linear){inner, outer, weight, some_floats((size_t)outer, 0.003f),
                           bias ? some_floats((size_t)outer, 0.1f) : NULL, factor};
}

enum { VOCABULARY = 50, WIDTH = 24, ATTENDED = 16, INNER = 40, TOKENS = 70, LABELS = 5, TAGS = 11, CODES = 3 };

static struct description some_encoder(int pools_first) {
    static struct layer layers[2];
    for (int i = 0; i < 2; i++)
        layers[i] = (struct layer){
            some_linear(WIDTH, 3 * ATTENDED, 1), some_linear(ATTENDED, WIDTH, 1), some_linear(WIDTH, INNER, 1),
            some_linear(INNER, WIDTH, 0), some_floats(WIDTH, 1), some_floats(WIDTH, 1), some_floats(WIDTH, 1),
            some_floats(WIDTH, 1), 2};
    int8_t *words = room(VOCABULARY * WIDTH);
    for (int i = 0; i < VOCABULARY * WIDTH; i++) words[i] = (int8_t)(rand() % 255 - 127);
    return (struct description){
        VOCABULARY, WIDTH, 2, TOKENS, CODES, LABELS, TAGS, pools_first, 1e-12f, words, some_floats(VOCABULARY, 0.01f),
        some_floats(TOKENS * WIDTH, 1), some_floats(WIDTH, 1), some_floats(WIDTH, 1), some_floats(CODES * WIDTH, 1),
        layers, some_floats(WIDTH * 8, 1), some_floats(8, 1), some_floats(WIDTH * 16, 1), some_floats(16, 1)};
}

struct answers {
    float *logits, *embeddings, *tags, *tokens;
};

static struct answers answered(struct encoder *encoder, int32_t rows, const int32_t *lengths, const int32_t *ids,
                               const int32_t *codes, size_t tokens) {
    struct answers found = {room((size_t)rows * LABELS * 4), room((size_t)rows * WIDTH * 4), room(tokens * TAGS * 4),
                            room(tokens * WIDTH * 4)};
    const struct request request = {rows, lengths, ids, codes, found.logits, found.embeddings, found.tags, found.tokens};
    CHECK(nanosmith_run(encoder, &request) == OK, "a good request is refused");
    return found;
}

static void forget(struct answers answers) {
    free(answers.logits);
    free(answers.embeddings);
    free(answers.tags);
    free(answers.tokens);
}

/* All lengths in one request, each as alone; and the first token's outputs alone as with all. */
static void check_rows(struct encoder *encoder, int kernel) {
    int32_t lengths[TOKENS], total = 0;
    for (int32_t i = 0; i < TOKENS; i++) total += lengths[i] = (i * 37) % TOKENS + 1;
    int32_t *ids = room((size_t)total * 4), *codes = room((size_t)total * 4);
    for (int32_t i = 0; i < total; i++) ids[i] = rand() % VOCABULARY, codes[i] = rand() % CODES;
    struct answers together = answered(encoder, TOKENS, lengths, ids, codes, (size_t)total);
    size_t first = 0;
    for (size_t row = 0; row < TOKENS; first += (size_t)lengths[row], row++) {
        const size_t count = (size_t)lengths[row];
        struct answers alone = answered(encoder, 1, lengths + row, ids + first, codes + first, count);
        int same = !memcmp(alone.logits, together.logits + row * LABELS, LABELS * 4) &&
                   !memcmp(alone.embeddings, together.embeddings + row * WIDTH, WIDTH * 4) &&
                   !memcmp(alone.tags, together.tags + first * TAGS, count * TAGS * 4) &&
                   !memcmp(alone.tokens, together.tokens + first * WIDTH, count * WIDTH * 4);
        CHECK(same, "kernel %d: %d tokens are not the same alone", kernel, lengths[row]);
        const struct request short_one = {1, lengths + row, ids + first, codes + first, alone.logits, NULL, NULL, NULL};
        CHECK(nanosmith_run(encoder, &short_one) == OK, "logits alone are refused");
        CHECK(!memcmp(alone.logits, together.logits + row * LABELS, LABELS * 4), "logits alone are not the same");
        forget(alone);
    }
    forget(together);
    free(ids);
    free(codes);
}

static void check_refusals(struct encoder *encoder) {
    int32_t ids[TOKENS + 1] = {0}, codes[TOKENS + 1] = {0}, length = 3;
    float logits[LABELS];
    const struct request good = {1, &length, ids, codes, logits, NULL, NULL, NULL};
    CHECK(nanosmith_run(encoder, &good) == OK, "a good request is refused");
    CHECK(nanosmith_run(NULL, &good) == BAD_SHAPE && nanosmith_run(encoder, NULL) == BAD_SHAPE, "NULL is run");
    struct request bad = good;
    bad.codes = NULL;
    CHECK(nanosmith_run(encoder, &bad) == BAD_SHAPE, "codes are missing");
    const int32_t wrong_lengths[] = {0, -1, TOKENS + 1, INT32_MAX, INT32_MIN};
    for (int i = 0; i < 5; i++) {
        length = wrong_lengths[i];
        CHECK(nanosmith_run(encoder, &good) == BAD_SHAPE, "a row of %d tokens is run", length);
    }
    length = 3;
    const int32_t wrong_ids[] = {-1, VOCABULARY, INT32_MAX, INT32_MIN};
    for (int i = 0; i < 4; i++) {
        ids[2] = wrong_ids[i];
        CHECK(nanosmith_run(encoder, &good) == BAD_ID, "token %d is read", ids[2]);
        ids[2] = 0;
        codes[1] = wrong_ids[i];
        CHECK(nanosmith_run(encoder, &good) == BAD_ID, "code %d is read", codes[1]);
        codes[1] = 0;
    }
}

static void check_bad_encoders(struct description is) {
    struct encoder *encoder = NULL;
    struct layer layer = is.layers[0];
    CHECK(nanosmith_open(NULL, PORTABLE, &encoder) == BAD_SHAPE, "nothing is opened");
    CHECK(nanosmith_open(&is, KERNELS, &encoder) == BAD_KERNEL, "a kernel that is none is used");
    is.layers = &layer, is.layer_count = 1;
    layer.heads = 3;
    CHECK(nanosmith_open(&is, PORTABLE, &encoder) == BAD_SHAPE, "three heads of 16 columns");
    layer.heads = 2, layer.up.inner = 8;
    CHECK(nanosmith_open(&is, PORTABLE, &encoder) == BAD_SHAPE, "a layer of another width");
    layer.up.inner = WIDTH;
    int8_t *weight = room(WIDTH * 3 * ATTENDED);
    weight[5] = 65;
    layer.qkv.weight = weight;
    CHECK(nanosmith_open(&is, PORTABLE, &encoder) == BAD_SHAPE, "a weight of 65");
    weight[5] = 64;
    CHECK(nanosmith_open(&is, PORTABLE, &encoder) == OK, "a good encoder is refused");
    nanosmith_close(encoder);
    free(weight);
}

int main(void) {
    srand(7);
    check_functions();
    for (int32_t rows = 1; rows < 18; rows++) check_product(8 * (rows % 5 + 1), 13 * (rows % 7) + 8, rows, rows % 2);
    check_product(1536, 64, 3, 1);
    for (int pools_first = 0; pools_first < 2; pools_first++) {
        const struct description is = some_encoder(pools_first);
        for (int kernel = 0; kernel < KERNELS; kernel++) {
            struct encoder *encoder = NULL;
            if (!nanosmith_supports(kernel)) continue;
            CHECK(nanosmith_open(&is, kernel, &encoder) == OK, "kernel %d does not open", kernel);
            check_rows(encoder, kernel);
            check_refusals(encoder);
            nanosmith_close(encoder);
        }
        check_bad_encoders(is);
    }
    check_decoders();
    printf("%d failures\n", failures);
    return failures != 0;
}
